"""What a run would ask of whom, and how long that takes at the hosts' pace. Nobody is asked and nothing is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select

from collectors.collect import sources
from collectors.collect_section import Collect
from collectors.engine import rates as pace
from collectors.engine.hosts import host_of
from collectors.engine.ledger import OWNERS
from collectors.engine.ledger_tables import LEDGER
from collectors.library import existing, missing
from collectors.source import Entity, Source
from toolkit.catalogue.store import Catalogue

TOGETHER = "all side by side"


@dataclass(frozen=True)
class Forecast:
    """One source's fields, or all of them. requests: at most, where nothing goes wrong. seconds: for so many."""

    source: str
    fields: str
    requests: int
    seconds: float


@dataclass(frozen=True)
class Outlook:
    """rows: one a source and what one answer of it gives; the last is for all of them. made: what would come into the library."""

    rows: list[Forecast]
    made: dict[Entity, int]
    new: bool


def forecast(params: Collect, origin: Path | str | None = None) -> Outlook:
    """What `collect` would ask. origin: the catalogue that the library would be filled from.

    Raises `InputError` for an unknown source, field or parameter, and where there is neither library nor origin. No keys are needed.
    """
    plan = sources(params.sources, None)
    rates = pace.rates(source for source, _ in plan)
    with existing(params.library, blobs=params.blobs, needed=origin is None) as library:
        made = {entity: missing(library, origin, table) if origin else 0 for entity, table in OWNERS.items()}
        rows, everything = [], Counter[str]()
        for source, fields in plan:
            for entity, names in source.lanes(fields):
                left = made[entity] + (_open(library, source, entity, names, params.again) if library else 0)
                asked = _asked(source, names, left)
                everything += asked
                rows.append(_row(source.name, ", ".join(names), asked, rates))
    return Outlook([*rows, _row(TOGETHER, "", everything, rates)], made, library is None)


def _asked(source: Source, names: tuple[str, ...], entities: int) -> Counter[str]:
    """Requests by host."""
    asked: Counter[str] = Counter()
    for host in source.hosts:
        asked[host_of(getattr(source.params, host.url))] += entities * host.most(names)
    return asked


def _row(source: str, fields: str, asked: Mapping[str, int], rates: Callable[[str], pace.Pace]) -> Forecast:
    """Hosts work side by side, what is asked of one host stands in line."""
    seconds = max((pace.seconds(n, rates(host)[0]) for host, n in asked.items()), default=0.0)
    return Forecast(source, fields, sum(asked.values()), seconds)


def _open(library: Catalogue, source: Source, entity: Entity, names: tuple[str, ...], again: Sequence[str]) -> int:
    """Entities in the library that have no answer yet for one of the fields, or one that is to be asked for again."""
    with library.engine.connect() as connection:
        total = connection.scalar(select(func.count()).select_from(OWNERS[entity])) or 0
        return total - (_closed(connection, source, entity, names, again) if library.has(LEDGER) else 0)


def _closed(
    connection: Connection, source: Source, entity: Entity, names: tuple[str, ...], again: Sequence[str]
) -> int:
    which = (LEDGER.c.source == source.name, LEDGER.c.field.in_(names), LEDGER.c.entity == entity)
    answered = select(LEDGER.c.entity_id).where(*which, LEDGER.c.next_try.is_(None), LEDGER.c.status.not_in(again))
    whole = answered.group_by(LEDGER.c.entity_id).having(func.count() == len(names)).subquery()
    return connection.scalar(select(func.count()).select_from(whole)) or 0

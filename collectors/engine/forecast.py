"""A forecast of a run: how many requests it sends to which source, and how long that takes at the hosts' pace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from collectors.collect import Collect, build_sources
from collectors.engine.hosts import HostRates, host_of, least_seconds, rates_by_host
from collectors.engine.ledger import LEDGER, TABLES, entries_of
from collectors.library import existing, missing
from collectors.source import Entity, Source
from toolkit.catalogue.store import Catalogue

TOTAL = "all side by side"


@dataclass(frozen=True)
class Forecast:
    """One source's fields, or all of them. requests: at most, without faults. seconds: for these requests."""

    source: str
    fields: str
    requests: int
    seconds: float


@dataclass(frozen=True)
class Outlook:
    """The forecast of a run.

    - rows: for each source and lane; the last is the total.
    - added: entities that come into the library by kind.
    - new: whether the library is made by the run.
    """

    rows: list[Forecast]
    added: dict[Entity, int]
    new: bool


def forecast(params: Collect, origin: Path | str | None = None) -> Outlook:
    """Count the requests of `collect`. Nothing is sent or written, and no keys are needed.

    origin: the catalogue that the library is filled from.
    Raises `InputError` for an unknown source, field or parameter, and where there is neither library nor origin.
    """
    plan = build_sources(params.sources, None)
    rates = rates_by_host(source for source, _ in plan)
    rows, total = [], Counter[str]()
    with existing(params.library, blobs=params.blobs, needed=origin is None) as library:
        added = {entity: missing(library, origin, table) if origin else 0 for entity, table in TABLES.items()}
        for source, fields in plan:
            for entity, names in source.lanes(fields):
                entities = added[entity] + (_open(library, source, entity, names, params.again) if library else 0)
                requests = Counter[str]()
                for host in source.hosts:
                    requests[host_of(getattr(source.params, host.url))] += entities * host.most(names)
                rows.append(_row(source.name, ", ".join(names), requests, rates))
                total += requests
    return Outlook([*rows, _row(TOTAL, "", total, rates)], added, library is None)


def _row(source: str, fields: str, requests: Mapping[str, int], rates: Callable[[str], HostRates]) -> Forecast:
    """A row for requests by host: hosts work at the same time, requests to one host one after another."""
    seconds = max((least_seconds(n, rates(host).rates) for host, n in requests.items()), default=0.0)
    return Forecast(source, fields, sum(requests.values()), seconds)


def _open(library: Catalogue, source: Source, entity: Entity, names: tuple[str, ...], again: Sequence[str]) -> int:
    """Number of the library's entities without a final answer for a field. again: statuses that are requested again."""
    entries = entries_of(source.name, names, entity)
    closed = select(LEDGER.c.entity_id).where(entries, LEDGER.c.next_try.is_(None), LEDGER.c.status.not_in(again))
    whole = closed.group_by(LEDGER.c.entity_id).having(func.count() == len(names)).subquery()
    with library.engine.connect() as connection:
        total = connection.scalar(select(func.count()).select_from(TABLES[entity])) or 0
        closed_n = connection.scalar(select(func.count()).select_from(whole)) if library.has(LEDGER) else 0
    return total - (closed_n or 0)

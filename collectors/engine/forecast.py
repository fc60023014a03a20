"""Forecast of the requests and the time of a run by source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from collectors.collect import Collect, build_sources
from collectors.engine.hosts import HostRates, host_of, least_seconds, rates_by_host
from collectors.engine.ledger import LEDGER, TABLES, entries_of
from collectors.engine.servers import contacted
from collectors.library import existing, missing
from collectors.source import Entity, Source
from toolkit.catalogue.store import Catalogue

TOTAL = "all side by side"


@dataclass(frozen=True)
class Forecast:
    """Maximum number of requests without faults, and their time in seconds, for fields of a source or in total."""

    source: str
    fields: str
    requests: int
    seconds: float


@dataclass(frozen=True)
class Outlook:
    """Forecast of a run.

    - rows: one row for each source and lane, and the total as last row.
    - added: number of entities that are added to the library, by kind.
    - new: whether the run creates the library.
    - hosts: hosts to which the requests would be sent.
    """

    rows: list[Forecast]
    added: dict[Entity, int]
    new: bool
    hosts: str = ""


def forecast(params: Collect, origin: Path | str | None = None) -> Outlook:
    """Count the requests of `collect` without sending or writing and without keys.

    - origin: catalogue from which the library is filled.
    Raises `InputError` for an unknown source, field or parameter, and if there is neither library nor origin.
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
    return Outlook(
        [*rows, _row(TOTAL, "", total, rates)], added, library is None, contacted(source for source, _ in plan)
    )


def _row(source: str, fields: str, requests: Mapping[str, int], rates: Callable[[str], HostRates]) -> Forecast:
    """Return a row for requests by host. Only requests to different hosts run at the same time."""
    seconds = max((least_seconds(n, rates(host).rates) for host, n in requests.items()), default=0.0)
    return Forecast(source, fields, sum(requests.values()), seconds)


def _open(library: Catalogue, source: Source, entity: Entity, names: tuple[str, ...], again: Sequence[str]) -> int:
    """Return the number of library entities without a final answer, or with a status in `again`, for a field."""
    entries = entries_of(source.name, names, entity)
    closed = select(LEDGER.c.entity_id).where(entries, LEDGER.c.next_try.is_(None), LEDGER.c.status.not_in(again))
    whole = closed.group_by(LEDGER.c.entity_id).having(func.count() == len(names)).subquery()
    with library.engine.connect() as connection:
        total = connection.scalar(select(func.count()).select_from(TABLES[entity])) or 0
        closed_n = connection.scalar(select(func.count()).select_from(whole)) if library.has(LEDGER) else 0
    return total - (closed_n or 0)

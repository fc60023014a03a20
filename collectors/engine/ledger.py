"""Ledger of requests and outcomes by source, in the database of the catalogue.

The tables for the ledger, ambiguous values, sources and imports are defined first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import NamedTuple, ParamSpec, TypeVar

import sqlalchemy.exc
import stamina
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from collectors.engine import catalogue_requests
from collectors.engine.outcomes import Claim
from collectors.source import Entity, Request, Source, Terms
from toolkit.catalogue.database_schema import ALBUMS, ARTISTS, TRACKS, upsert
from toolkit.catalogue.store import Catalogue
from toolkit.errors import SegueError
from toolkit.files import disk_full

Params = ParamSpec("Params")
Returned = TypeVar("Returned")
LEASE = 600.0
"""Seconds that a claim lasts unless it is renewed.

After that others may take over the work of a machine that went down.
"""
TABLES: dict[Entity, Table] = {"track": TRACKS, "album": ALBUMS, "artist": ARTISTS}

METADATA = MetaData()

LEDGER = Table(
    "collected",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("entity", Text, primary_key=True),
    Column("entity_id", Text, primary_key=True),
    # pending, found, absent, ambiguous, blocked or failed
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    # when it is due, or the end of a claim; null: it is not requested again
    Column("next_try", Float),
    Column("owner", Text),
    Column("http_status", Integer),
    Column("match_score", Float),
    Column("payload", Text),
    Column("note", Text),
    Column("time", Float),
    Index("ix_collected_due", "source", "field", "next_try", "entity_id"),
    Index("ix_collected_status", "source", "field", "entity", "status"),
    Index("ix_collected_owner", "owner"),
)
"""One row for each track, album or artist, field and source."""

APART = Table(
    "collected_apart",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("entity", Text, primary_key=True),
    Column("entity_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("match_score", Float, nullable=False),
    Column("time", Float, nullable=False),
)
"""Values that may belong to another entity. No encoder reads them."""

SOURCES = Table(
    "collected_sources",
    METADATA,
    Column("source", Text, primary_key=True),
    # end of the pause that the host demands
    Column("not_before", Float),
    Column("train_allowed", Boolean),
    Column("licence", Text),
    Column("page", Text),
    Column("attribution", Text),
    Column("storage_bytes", Integer),
    Column("storage_days", Float),
)
"""Terms and pauses of all sources that were ever used, for a machine without their plug-ins."""

STATES = Table(
    "collected_files", METADATA, Column("source", Text, primary_key=True), Column("state", Text, nullable=False)
)
"""State of the files that a source read last."""

IMPORTS = Table(
    "collected_imports", METADATA, Column("key", Text, primary_key=True), Column("time", Float, nullable=False)
)
"""Catalogues that were copied into this one."""


class DiskFull(SegueError):
    """Error that the disk is full, after which the caller still has the result."""


class RefusedValue(SegueError):
    """Error that the database does not take a value, such as a number that is too large for its column."""


class StatusCount(NamedTuple):
    """Number `n` of entries with the same source, field and status."""

    source: str
    field: str
    entity: Entity
    status: str
    n: int


class StoredTerms(NamedTuple):
    """Source name, end of the pause in seconds since 1970, and terms of a source."""

    source: str
    not_before: float | None
    terms: Terms

    def columns(self) -> dict[str, object]:
        """Return the row of the table `SOURCES` by column."""
        return {"source": self.source, "not_before": self.not_before, **asdict(self.terms)}


class Ledger:
    """Ledger of a library that was opened with `open_library`.

    - owner: name of this process for claims; empty for reading only.
    - patience: maximum wait of `with_room` in seconds.
    - note: function that reports a line to the user.
    """

    def __init__(
        self, catalogue: Catalogue, owner: str = "", patience: float = 0.0, note: Callable[[str], None] = print
    ) -> None:
        self.catalogue, self.owner = catalogue, owner
        self._patience, self._note = patience, note

    def plan(self, source: str, field: str, entity: Entity) -> int:
        """Open an entry for every catalogue entity without an entry. Returns the number of new entries."""
        ids = TABLES[entity].c.id
        same = (
            LEDGER.c.source == source,
            LEDGER.c.field == field,
            LEDGER.c.entity == entity,
            LEDGER.c.entity_id == ids,
        )
        missing = select(
            literal(source), literal(field), literal(entity), ids, literal("pending"), literal(0), literal(0.0)
        ).where(~select(LEDGER.c.source).where(*same).exists())
        columns = ["source", "field", "entity", "entity_id", "status", "attempts", "next_try"]
        with self.transaction() as connection:
            _lock_out_others(connection, "plan")
            return connection.execute(insert(LEDGER).from_select(columns, missing)).rowcount

    def reopen(self, source: str, fields: Sequence[str], statuses: Collection[str]) -> int:
        """Reopen entries with these statuses and return their number."""
        with self.transaction() as connection:
            closed = update(LEDGER).where(
                entries_of(source, fields), LEDGER.c.status.in_(statuses), LEDGER.c.owner.is_(None)
            )
            return connection.execute(closed.values(status="pending", attempts=0, next_try=0.0)).rowcount

    def reopen_after_change(self, source: str, fields: Sequence[str], state: str) -> int:
        """Reopen entries without a value if the files of a source have another state than before.

        Returns the number of reopened entries.
        """
        with self.transaction() as connection:
            known = connection.scalar(select(STATES.c.state).where(STATES.c.source == source))
        if known == state:
            return 0
        reopened = self.reopen(source, fields, ("absent", "ambiguous", "failed"))
        with self.transaction() as connection:
            upsert(connection, STATES, [{"source": source, "state": state}])
        return reopened

    def claim(self, source: str, entity: Entity, fields: tuple[str, ...], limit: int) -> list[Claim]:
        """Claim up to `limit` due entities.

        No other process can claim them until `LEASE` ends or they are released.
        """
        now = time.time()
        with self.transaction() as connection:
            due: dict[str, None] = {}
            for name in fields:
                ids = select(LEDGER.c.entity_id).where(entries_of(source, [name]), LEDGER.c.next_try <= now)
                ids = ids.order_by(LEDGER.c.next_try, LEDGER.c.entity_id).limit(limit)
                due |= dict.fromkeys(connection.scalars(ids))
            if not due:
                return []
            chosen = list(due)[:limit]
            _lock_out_others(connection, source)
            claimed = (
                update(LEDGER)
                .where(entries_of(source, fields, entity, chosen), LEDGER.c.next_try <= now)
                .values(owner=self.owner, next_try=now + LEASE)
                .returning(LEDGER.c.entity_id, LEDGER.c.field, LEDGER.c.attempts)
            )
            attempts: dict[str, dict[str, int]] = {entity_id: {} for entity_id in chosen}
            for entity_id, name, n in connection.execute(claimed):
                attempts[entity_id][name] = n
        return [
            Claim(source, entity, entity_id, tuple(name for name in fields if name in by_field), max(by_field.values()))
            for entity_id, by_field in attempts.items()
            if by_field
        ]

    def requests(self, claims: Sequence[Claim]) -> list[Request]:
        """Return requests for claimed entities of one kind, in the order of the claims."""
        with self.transaction() as connection:
            fields = [(claim.id, claim.fields) for claim in claims]
            return catalogue_requests.build(connection, claims[0].entity, fields) if claims else []

    def release(self, claims: Sequence[Claim], *, next_try: float = 0.0, note: str | None = None) -> None:
        """Release claims without a request, with the time of the next attempt and the reason."""
        groups: dict[tuple[str, Entity, tuple[str, ...]], list[str]] = {}
        for claim in claims:
            groups.setdefault((claim.source, claim.entity, claim.fields), []).append(claim.id)
        with self.transaction() as connection:
            for (source, entity, fields), ids in groups.items():
                own = update(LEDGER).where(entries_of(source, fields, entity, ids), LEDGER.c.owner == self.owner)
                connection.execute(own.values(owner=None, next_try=next_try, note=note, time=time.time()))

    def renew(self) -> None:
        """Extend all claims of this process by `LEASE`."""
        with self.transaction() as connection:
            connection.execute(update(LEDGER).where(LEDGER.c.owner == self.owner).values(next_try=time.time() + LEASE))

    def owners(self) -> dict[str, float]:
        """Return the end of the lease, in seconds since 1970, by process with claims."""
        leases = select(LEDGER.c.owner, func.max(LEDGER.c.next_try)).where(LEDGER.c.owner.is_not(None))
        with self.transaction() as connection:
            return {owner: until or 0.0 for owner, until in connection.execute(leases.group_by(LEDGER.c.owner))}

    def release_all(self, owner: str) -> None:
        """Release all claims of a process that has ended."""
        with self.transaction() as connection:
            connection.execute(update(LEDGER).where(LEDGER.c.owner == owner).values(owner=None, next_try=0.0))

    def wake(self, note: str, *entries: ColumnElement[bool]) -> None:
        """Make entries that wait with this note due now; `entries` are optional SQL conditions."""
        with self.transaction() as connection:
            waiting = (LEDGER.c.note == note, LEDGER.c.next_try.is_not(None), LEDGER.c.owner.is_(None))
            connection.execute(update(LEDGER).where(*waiting, *entries).values(next_try=0.0, note=None))

    def next_due(self, source: str, fields: Sequence[str]) -> float | None:
        """Return when the next unclaimed entry is due, in seconds since 1970, or None."""
        with self.transaction() as connection:
            times = [
                connection.scalar(
                    select(LEDGER.c.next_try)
                    .where(entries_of(source, [name]), LEDGER.c.next_try.is_not(None), LEDGER.c.owner.is_(None))
                    .order_by(LEDGER.c.next_try)
                    .limit(1)
                )
                for name in fields
            ]
        return min((due for due in times if due is not None), default=None)

    def counts(self) -> list[StatusCount]:
        """Return sorted counts of entries by source, field, entity kind and status."""
        columns = (LEDGER.c.source, LEDGER.c.field, LEDGER.c.entity, LEDGER.c.status)
        with self.transaction() as connection:
            query = select(*columns, func.count()).group_by(*columns).order_by(*columns)
            return [StatusCount(*row) for row in connection.execute(query)]

    def left(self, source: str, fields: Sequence[str]) -> int:
        """Return the number of entities with an open entry for these fields."""
        with self.transaction() as connection:
            open_ = select(func.count(LEDGER.c.entity_id.distinct())).where(LEDGER.c.next_try.is_not(None))
            return connection.scalar(open_.where(entries_of(source, fields))) or 0

    def register(self, source: Source) -> float:
        """Store the terms of a source. Returns the end of the pause in seconds since 1970, or 0."""
        with self.transaction() as connection:
            upsert(connection, SOURCES, [StoredTerms(source.name, None, source.terms).columns()], merge=True)
            return connection.scalar(select(SOURCES.c.not_before).where(SOURCES.c.source == source.name)) or 0.0

    def pause(self, source: str, until: float) -> None:
        """Store the time before which no process may send requests to a source."""
        with self.transaction() as connection:
            connection.execute(update(SOURCES).where(SOURCES.c.source == source).values(not_before=until))

    def stored_terms(self) -> list[StoredTerms]:
        """Return the terms of all sources that were ever used, sorted by name."""
        with self.transaction() as connection:
            rows = connection.execute(select(SOURCES).order_by(SOURCES.c.source))
            return [StoredTerms(source, not_before, Terms(*terms)) for source, not_before, *terms in rows]

    def with_room(self, write: Callable[Params, Returned], *args: Params.args, **kwargs: Params.kwargs) -> Returned:
        """Call `write` repeatedly while the disk is full. Raises `DiskFull` after `patience` seconds."""
        for attempt in stamina.retry_context(
            on=DiskFull, attempts=None, timeout=self._patience, wait_initial=0.1, wait_max=2.0, wait_jitter=0.2
        ):
            with attempt:
                if attempt.num == 2:
                    self._note("the disk is full, waiting for space")
                return write(*args, **kwargs)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a transaction.

        Raises `DiskFull` for a full disk, `RefusedValue` for a value, and `SegueError` for other database errors.
        """
        try:
            with self.catalogue.engine.begin() as connection:
                yield connection
        except OperationalError as error:
            kind = DiskFull if disk_full(error) else SegueError
            raise kind(f"{self.catalogue}: {str(error.orig).strip().splitlines()[0]}") from None
        except (sqlalchemy.exc.DataError, sqlalchemy.exc.IntegrityError) as error:
            raise RefusedValue(f"{self.catalogue}: {str(error.orig).strip().splitlines()[0]}") from None
        except SQLAlchemyError as error:
            raise SegueError(f"{self.catalogue}: {error}") from error


def entries_of(
    source: str, fields: Collection[str], entity: str | None = None, ids: Collection[str] | None = None
) -> ColumnElement[bool]:
    """Return an SQL condition for entries by source and field, and optionally by kind and entity."""
    return and_(
        LEDGER.c.source == source,
        LEDGER.c.field.in_(fields),
        *([] if entity is None else [LEDGER.c.entity == entity]),
        *([] if ids is None else [LEDGER.c.entity_id.in_(ids)]),
    )


def _lock_out_others(connection: Connection, name: str) -> None:
    """Lock planning and claiming on PostgreSQL, where two processes would otherwise deadlock.

    SQLite allows only one writer.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"segue {name}"})

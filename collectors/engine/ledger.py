"""The ledger: what was asked of whom and how it went, in the catalogue's own database: a value and its entry are one transaction."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, delete, func, insert, literal, or_, select, text, update
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from collectors.engine import catalogue_requests
from collectors.engine.ledger_tables import APART, LEDGER, SOURCES
from collectors.engine.outcomes import Claim, Entry
from collectors.source import Entity, Other, Request, Source, Terms
from toolkit.catalogue import record_rows
from toolkit.catalogue.database_schema import ALBUMS, ARTISTS, FIELDS, TRACK_ARTISTS, TRACKS, upsert
from toolkit.catalogue.records import Field
from toolkit.catalogue.store import Catalogue
from toolkit.errors import SegueError
from toolkit.files import disk_full

LEASE = 600.0
"""Seconds that a claim lasts when nobody renews it: a machine that lost power gives its work back after so long."""
_KEPT = ("status", "attempts", "next_try", "http_status", "match_score", "payload", "note")
OWNERS: dict[Entity, Table] = {"track": TRACKS, "album": ALBUMS, "artist": ARTISTS}
_CLOSE = (
    update(LEDGER)
    .where(
        LEDGER.c.source == bindparam("_source"),
        LEDGER.c.field == bindparam("_field"),
        LEDGER.c.entity == bindparam("_entity"),
    )
    .where(LEDGER.c.entity_id == bindparam("_id"), LEDGER.c.owner == bindparam("_owner"))
    .values({name: bindparam(name) for name in (*_KEPT, "owner", "time")})
)


class DiskFull(SegueError):
    """There is no room for a result; it is not lost, the caller still has it."""


class Ledger:
    """The ledger of one library, as `open_library` opens it, for one collecting process called `owner`."""

    def __init__(self, catalogue: Catalogue, owner: str = "") -> None:
        self.catalogue = catalogue
        self.owner = owner

    def plan(self, source: str, field: str, entity: Entity) -> int:
        """Open an entry for every entity that has none; how many."""
        owners = OWNERS[entity]
        there = (
            LEDGER.c.source == source,
            LEDGER.c.field == field,
            LEDGER.c.entity == entity,
            LEDGER.c.entity_id == owners.c.id,
        )
        missing = select(
            literal(source), literal(field), literal(entity), owners.c.id, literal("pending"), literal(0), literal(0.0)
        ).where(~select(LEDGER.c.source).where(*there).exists())
        columns = ["source", "field", "entity", "entity_id", "status", "attempts", "next_try"]
        with self.transaction() as connection:
            _alone(connection, "plan")
            return connection.execute(insert(LEDGER).from_select(columns, missing)).rowcount

    def reopen(self, source: str, fields: Sequence[str], statuses: Collection[str]) -> int:
        """Ask again for what ended so; how many entries."""
        which = (
            LEDGER.c.source == source,
            LEDGER.c.field.in_(fields),
            LEDGER.c.status.in_(statuses),
            LEDGER.c.owner.is_(None),
        )
        with self.transaction() as connection:
            fresh = {"status": "pending", "attempts": 0, "next_try": 0.0}
            return connection.execute(update(LEDGER).where(*which).values(fresh)).rowcount

    def claim(self, source: str, entity: Entity, fields: tuple[str, ...], most: int) -> list[Claim]:
        """Take up to so many entities that are due; no other process gets them until `LEASE` is over or they are given back."""
        now = time.time()
        with self.transaction() as connection:
            ids: dict[str, None] = {}
            for name in fields:
                due = select(LEDGER.c.entity_id).where(
                    LEDGER.c.source == source, LEDGER.c.field == name, LEDGER.c.next_try <= now
                )
                ids |= dict.fromkeys(
                    connection.scalars(due.order_by(LEDGER.c.next_try, LEDGER.c.entity_id).limit(most))
                )
            if not ids:
                return []
            chosen = list(ids)[:most]
            _alone(connection, source)
            which = (
                LEDGER.c.source == source,
                LEDGER.c.field.in_(fields),
                LEDGER.c.entity == entity,
                LEDGER.c.entity_id.in_(chosen),
            )
            taken = (
                update(LEDGER).where(*which, LEDGER.c.next_try <= now).values(owner=self.owner, next_try=now + LEASE)
            )
            got = connection.execute(taken.returning(LEDGER.c.entity_id, LEDGER.c.field, LEDGER.c.attempts)).all()
        parts: dict[str, list[tuple[str, int]]] = {one: [] for one in chosen}
        for one, name, attempts in got:
            parts[one].append((name, attempts))
        return [
            Claim(
                source,
                entity,
                one,
                tuple(name for name in fields if name in dict(part)),
                max(attempts for _, attempts in part),
            )
            for one, part in parts.items()
            if part
        ]

    def requests(self, claims: Sequence[Claim]) -> list[Request]:
        """What is known of the claimed entities, which are of one kind."""
        with self.transaction() as connection:
            return (
                catalogue_requests.build(connection, claims[0].entity, [(claim.id, claim.fields) for claim in claims])
                if claims
                else []
            )

    def keep(self, claim: Claim, entries: Sequence[Entry], terms: Terms, others: Sequence[Other] = ()) -> bool:
        """Write one answer, its values and its entries, in one transaction; False where the claim was lost meanwhile.

        Raises `DiskFull` where there is no room: nothing of it is written then.
        """
        now = time.time()
        found = [
            (claim.id, entry.field, entry.value, claim.entity, entry.match_score)
            for entry in entries
            if entry.status == "found"
        ]
        score = max((entry.match_score for entry in entries if entry.match_score is not None), default=None)
        found += [(other.id, other.field, other.value, other.entity, score) for other in others]
        items = [
            (one, name, Field(value, claim.source, entity, score, terms.train_allowed))
            for one, name, value, entity, score in found
            if value is not None
        ]
        try:
            prepared = record_rows.prepare_fields(items, self.catalogue._put)
            apart = [row for entry in entries if entry.status == "ambiguous" for row in self._apart(claim, entry, now)]
        except SegueError as error:
            raise (DiskFull(str(error)) if disk_full(error) else error) from None
        with self.transaction() as connection:
            for entry in entries:
                if not connection.execute(_CLOSE, self._closing(claim, entry, now)).rowcount:
                    connection.rollback()
                    return False
            record_rows.write(connection, prepared)
            upsert(connection, APART, apart)
        return True

    def _closing(self, claim: Claim, entry: Entry, now: float) -> dict[str, Any]:
        values = {name: getattr(entry, name) for name in _KEPT}
        which = {
            "_source": claim.source,
            "_field": entry.field,
            "_entity": claim.entity,
            "_id": claim.id,
            "_owner": self.owner,
        }
        return {**values, **which, "owner": None, "time": now}

    def _apart(self, claim: Claim, entry: Entry, now: float) -> list[dict[str, Any]]:
        if entry.value is None:
            return []
        value = Field(entry.value, claim.source, claim.entity, entry.match_score)
        prepared = record_rows.prepare_fields([(claim.id, entry.field, value)], self.catalogue._put)
        names = {column.name for column in APART.columns}
        return [
            {key: value for key, value in row.items() if key in names}
            | {"match_score": entry.match_score or 0.0, "time": now}
            for row in prepared.tables[FIELDS].values()
        ]

    def give_back(self, claims: Sequence[Claim], *, next_try: float = 0.0, note: str | None = None) -> None:
        """What was claimed and not asked is anybody's again, from `next_try` on."""
        alike: dict[tuple[str, Entity, tuple[str, ...]], list[str]] = {}
        for claim in claims:
            alike.setdefault((claim.source, claim.entity, claim.fields), []).append(claim.id)
        with self.transaction() as connection:
            for (source, entity, fields), ids in alike.items():
                which = (
                    LEDGER.c.source == source,
                    LEDGER.c.field.in_(fields),
                    LEDGER.c.entity == entity,
                    LEDGER.c.entity_id.in_(ids),
                )
                mine = update(LEDGER).where(*which, LEDGER.c.owner == self.owner)
                connection.execute(mine.values(owner=None, next_try=next_try, note=note))

    def renew(self) -> None:
        """Hold what is claimed for another `LEASE`."""
        with self.transaction() as connection:
            connection.execute(update(LEDGER).where(LEDGER.c.owner == self.owner).values(next_try=time.time() + LEASE))

    def owners(self) -> dict[str, float]:
        """Who holds claims, and until when if nobody renews them."""
        query = (
            select(LEDGER.c.owner, func.max(LEDGER.c.next_try))
            .where(LEDGER.c.owner.is_not(None))
            .group_by(LEDGER.c.owner)
        )
        with self.transaction() as connection:
            return {owner: until or 0.0 for owner, until in connection.execute(query)}

    def free(self, owner: str) -> int:
        """Give back the claims of a process that is no more; how many entries."""
        with self.transaction() as connection:
            return connection.execute(
                update(LEDGER).where(LEDGER.c.owner == owner).values(owner=None, next_try=0.0)
            ).rowcount

    def wake(self, note: str) -> None:
        """What waits with this note is due now."""
        with self.transaction() as connection:
            due = update(LEDGER).where(LEDGER.c.note == note, LEDGER.c.status == "pending", LEDGER.c.owner.is_(None))
            connection.execute(due.values(next_try=0.0, note=None))

    def wake_some(self, source: str, fields: Sequence[str], entity: Entity, ids: Sequence[str], note: str) -> None:
        """The same of some entities of one source."""
        which = (
            LEDGER.c.source == source,
            LEDGER.c.field.in_(fields),
            LEDGER.c.entity == entity,
            LEDGER.c.entity_id.in_(ids),
        )
        with self.transaction() as connection:
            due = update(LEDGER).where(*which, LEDGER.c.note == note, LEDGER.c.owner.is_(None))
            connection.execute(due.values(next_try=0.0, note=None))

    def next_due(self, source: str, fields: Sequence[str]) -> float | None:
        """When the next entry that nobody holds may be asked for; None where none is left."""
        with self.transaction() as connection:
            times = [
                connection.scalar(
                    select(LEDGER.c.next_try)
                    .where(
                        LEDGER.c.source == source,
                        LEDGER.c.field == name,
                        LEDGER.c.next_try.is_not(None),
                        LEDGER.c.owner.is_(None),
                    )
                    .order_by(LEDGER.c.next_try)
                    .limit(1)
                )
                for name in fields
            ]
        return min((when for when in times if when is not None), default=None)

    def awaited(
        self, providers: Sequence[tuple[str, str]], entity: Entity, ids: Sequence[str], until: float
    ) -> set[str]:
        """Those of the entities about which, or about tracks of which, a provider of ids, (source, field), is asked until then."""
        if not providers or not ids:
            return set()
        asked = or_(*(and_(LEDGER.c.source == source, LEDGER.c.field == name) for source, name in providers))
        open_ = (
            asked,
            or_(LEDGER.c.next_try <= until, and_(LEDGER.c.next_try.is_not(None), LEDGER.c.owner.is_not(None))),
        )
        queries = [select(LEDGER.c.entity_id).where(*open_, LEDGER.c.entity == entity, LEDGER.c.entity_id.in_(ids))]
        of_track = (*open_, LEDGER.c.entity == "track")
        if entity == "album":
            queries.append(
                select(TRACKS.c.album_id)
                .join(LEDGER, LEDGER.c.entity_id == TRACKS.c.id)
                .where(*of_track, TRACKS.c.album_id.in_(ids))
            )
        elif entity == "artist":
            credits = TRACK_ARTISTS.join(LEDGER, LEDGER.c.entity_id == TRACK_ARTISTS.c.track_id)
            queries.append(
                select(TRACK_ARTISTS.c.artist_id)
                .select_from(credits)
                .where(*of_track, TRACK_ARTISTS.c.artist_id.in_(ids))
            )
        with self.transaction() as connection:
            return {one for query in queries for one in connection.scalars(query.distinct())}

    def counts(self) -> list[dict[str, Any]]:
        """`source`, `field`, `entity`, `status`, `n`, sorted."""
        columns = (LEDGER.c.source, LEDGER.c.field, LEDGER.c.entity, LEDGER.c.status)
        with self.transaction() as connection:
            query = select(*columns, func.count().label("n")).group_by(*columns).order_by(*columns)
            return [dict(row._mapping) for row in connection.execute(query)]

    def left(self, source: str, fields: Sequence[str]) -> int:
        """Entities of a source's fields that are not answered."""
        with self.transaction() as connection:
            query = select(func.count(LEDGER.c.entity_id.distinct())).where(
                LEDGER.c.source == source, LEDGER.c.field.in_(fields), LEDGER.c.next_try.is_not(None)
            )
            return connection.scalar(query) or 0

    def pause(self, source: str, until: float) -> None:
        """The source asked to be left alone until then, by this process and later ones."""
        with self.transaction() as connection:
            connection.execute(update(SOURCES).where(SOURCES.c.source == source).values(not_before=until))

    def register(self, source: type[Source] | Source) -> float:
        """Note a source's terms; returns until when it asked to be left alone, 0 where it did not."""
        terms = source.terms
        row = {name: getattr(terms, name) for name in Terms.__slots__}
        with self.transaction() as connection:
            upsert(connection, SOURCES, [{"source": source.name, "not_before": None, **row}], merge=True)
            return connection.scalar(select(SOURCES.c.not_before).where(SOURCES.c.source == source.name)) or 0.0

    def terms(self) -> list[dict[str, Any]]:
        """Terms of every source that was asked, sorted by name."""
        with self.transaction() as connection:
            return [dict(row._mapping) for row in connection.execute(select(SOURCES).order_by(SOURCES.c.source))]

    def stored(self, source: str) -> int:
        """Bytes of a source's texts and vectors, and of its covers and audio."""
        with self.transaction() as connection:
            held = select(FIELDS.c.kind, FIELDS.c.value).where(FIELDS.c.source == source)
            plain = select(func.coalesce(func.sum(func.length(FIELDS.c.value)), 0)).where(
                FIELDS.c.source == source, FIELDS.c.kind != "blob"
            )
            blobs = {value for _, value in connection.execute(held.where(FIELDS.c.kind == "blob"))}
            total = int(connection.scalar(plain) or 0)
        return total + sum(
            self.catalogue.blobs.path(key).stat().st_size for key in blobs if key in self.catalogue.blobs
        )

    def expire(self, source: str, days: float) -> int:
        """Forget values that the source's terms let nobody keep for longer, and ask for them again; how many."""
        old = time.time() - days * 86_400
        kept = (FIELDS.c.source == source, FIELDS.c.time < old)
        with self.transaction() as connection:
            gone = connection.execute(select(FIELDS.c.field, FIELDS.c.entity, FIELDS.c.entity_id).where(*kept)).all()
            for name, entity, one in gone:
                fresh = {"status": "pending", "attempts": 0, "next_try": 0.0, "match_score": None, "payload": None}
                connection.execute(update(LEDGER).where(*_of(source, name, entity, one)).values(fresh))
            connection.execute(delete(FIELDS).where(*kept))
        return len(gone)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Raises `DiskFull` where there is no room, `SegueError` for what else the database refuses."""
        try:
            with self.catalogue.engine.begin() as connection:
                yield connection
        except OperationalError as error:
            kind = DiskFull if disk_full(error) else SegueError
            raise kind(f"{self.catalogue}: {str(error.orig).strip().splitlines()[0]}") from None
        except SQLAlchemyError as error:
            raise SegueError(f"{self.catalogue}: {error}") from error


def _of(source: str, field: str, entity: str, entity_id: str) -> tuple[Any, ...]:
    return (
        LEDGER.c.source == source,
        LEDGER.c.field == field,
        LEDGER.c.entity == entity,
        LEDGER.c.entity_id == entity_id,
    )


def _alone(connection: Connection, what: str) -> None:
    """On PostgreSQL one process at a time plans or claims, so that two never wait for each other's rows; SQLite has one writer."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:what))"), {"what": f"segue {what}"})

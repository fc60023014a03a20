"""Storage of answers, which are written in one transaction with the ledger entries."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy import bindparam, delete, func, select, update

from collectors.engine.ledger import APART, LEDGER, DiskFull, Ledger, RefusedValue, entries_of
from collectors.engine.outcomes import Claim, Entry
from collectors.source import Other, Source, Terms, Trouble
from toolkit.catalogue import record_writer
from toolkit.catalogue.database_schema import FIELDS, Row, upsert
from toolkit.catalogue.records import Field, FieldValue
from toolkit.errors import DataError, SegueError, first_line
from toolkit.files import disk_full

_OUTCOME = ("status", "attempts", "next_try", "http_status", "match_score", "payload", "note")
_KEY = ("source", "field", "entity", "entity_id", "owner")
_CLOSE = (
    update(LEDGER)
    .where(*(LEDGER.c[name] == bindparam(f"_{name}") for name in _KEY))
    .values({name: bindparam(name) for name in (*_OUTCOME, "owner", "time")})
)


class StorageExceeded(Exception):
    """Error that the storage limit in the terms of a source is reached."""


class NotStorable(Trouble):
    """Error that the catalogue or its database does not take a value."""


class AnswerStore:
    """Writer of answers to a library for the process that owns the claims of `ledger`.

    `sources` are the sources of the run, whose terms may limit how much content is stored.
    """

    def __init__(self, ledger: Ledger, sources: Iterable[Source]) -> None:
        self._ledger, self._blobs, self._put = ledger, ledger.catalogue.blobs, ledger.catalogue._put
        self._kept_bytes = {
            source.name: self.size(source.name) for source in sources if source.terms.storage_bytes is not None
        }

    def write(self, claim: Claim, entries: Sequence[Entry], terms: Terms, others: Sequence[Other] = ()) -> bool:
        """Write one answer with values and entries. Returns False and writes nothing if the claim was lost.

        Raises `StorageExceeded` if `terms` do not allow storing the values, `NotStorable` for a value that cannot be
        stored, and `DiskFull` if the disk stays full. In all cases nothing is written.
        """
        size = self._kept_bytes.get(claim.source, 0) + sum(_size(entry.value) for entry in entries)
        if terms.storage_bytes is not None and size > terms.storage_bytes:
            limit = f"{terms.storage_bytes / 1e6:g} MB"
            raise StorageExceeded(f"the terms allow at most {limit} of stored content: delete unneeded content")
        try:
            written = self._ledger.with_room(self._write, claim, entries, terms, others)
        except (DataError, RefusedValue, UnicodeError, OverflowError) as error:
            raise NotStorable(f"the value cannot be stored ({first_line(error)[:200]})") from None
        if written:
            self._kept_bytes[claim.source] = size
        return written

    def _write(self, claim: Claim, entries: Sequence[Entry], terms: Terms, others: Sequence[Other]) -> bool:
        now = time.time()
        score = max((entry.match_score for entry in entries if entry.match_score is not None), default=None)
        items = [
            (
                claim.id,
                entry.field,
                Field(entry.value, claim.source, claim.entity, entry.match_score, terms.train_allowed),
            )
            for entry in entries
            if entry.status == "found" and entry.value is not None
        ]
        items += [
            (other.id, other.field, Field(other.value, claim.source, other.entity, score, terms.train_allowed))
            for other in others
        ]
        try:
            prepared = record_writer.prepare_fields(items, self._put)
            apart = [row for entry in entries for row in self._rows_apart(claim, entry, now)]
        except SegueError as error:
            raise (DiskFull(str(error)) if disk_full(error) else error) from None
        with self._ledger.transaction() as connection:
            for entry in entries:
                key = (claim.source, entry.field, claim.entity, claim.id, self._ledger.owner)
                values = {name: getattr(entry, name) for name in _OUTCOME} | {"owner": None, "time": now}
                keys = {f"_{name}": part for name, part in zip(_KEY, key, strict=True)}
                if not connection.execute(_CLOSE, values | keys).rowcount:
                    connection.rollback()
                    return False
            record_writer.write(connection, prepared)
            upsert(connection, APART, apart)
        return True

    def _rows_apart(self, claim: Claim, entry: Entry, now: float) -> list[Row]:
        """Return the rows for an ambiguous value, which is stored separately from catalogue fields."""
        if entry.status != "ambiguous" or entry.value is None:
            return []
        value = Field(entry.value, claim.source, claim.entity, entry.match_score)
        prepared = record_writer.prepare_fields([(claim.id, entry.field, value)], self._put)
        score = {"match_score": entry.match_score or 0.0, "time": now}
        rows = [row | score for row in prepared.tables[FIELDS].values()]
        return [{column.name: row[column.name] for column in APART.columns} for row in rows]

    def size(self, source: str) -> int:
        """Return the number of stored bytes of a source."""
        with self._ledger.transaction() as connection:
            inline = select(func.coalesce(func.sum(func.length(FIELDS.c.value)), 0))
            total = int(connection.scalar(inline.where(FIELDS.c.source == source, FIELDS.c.kind != "blob")) or 0)
            keys = select(FIELDS.c.value).where(FIELDS.c.source == source, FIELDS.c.kind == "blob").distinct()
            blobs = connection.scalars(keys).all()
        return total + sum(self._blobs.path(key).stat().st_size for key in blobs if key in self._blobs)

    def expire(self, source: str, days: float) -> int:
        """Delete values that are older than the terms of the source allow, and reopen the entries.

        Returns their number.
        """
        now = time.time()
        old = (FIELDS.c.source == source, FIELDS.c.time < now - days * 86_400)
        with self._ledger.transaction() as connection:
            # after the clock went back, values with a time in the future would be kept for too long
            connection.execute(update(FIELDS).where(FIELDS.c.source == source, FIELDS.c.time > now).values(time=now))
            keys = connection.execute(select(FIELDS.c.field, FIELDS.c.entity, FIELDS.c.entity_id).where(*old)).all()
            reopened = {"status": "pending", "attempts": 0, "next_try": 0.0, "match_score": None, "payload": None}
            for name, entity, entity_id in keys:
                entry = entries_of(source, [name], entity, [entity_id])
                connection.execute(update(LEDGER).where(entry).values(reopened))
            connection.execute(delete(FIELDS).where(*old))
        return len(keys)


def _size(value: FieldValue | None) -> int:
    if isinstance(value, Path):
        return value.stat().st_size
    return (
        8 * len(value) if isinstance(value, list) else len(value.encode() if isinstance(value, str) else value or b"")
    )

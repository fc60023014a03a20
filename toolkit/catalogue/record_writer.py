"""Writer of records to the catalogue tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from itertools import zip_longest
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Table, bindparam, delete, insert

from toolkit.catalogue.database_schema import ALBUMS, ARTISTS, FIELDS, PLAYLISTS, TRACK_ARTISTS, TRACKS, Row, upsert
from toolkit.catalogue.normalised_names import featured, normalised
from toolkit.catalogue.records import LARGEST, Field, PlaylistRecord, Record, TrackRecord
from toolkit.errors import DataError

PutBlob = Callable[[bytes | Path], str]
Key = str | tuple[str, str, str, str]

ENTITIES = ("track", "album", "artist")


@dataclass
class RowBatch:
    """Rows of one batch by table and key, with each artist written only once.

    - credits: artist ids by track with artists, which replace artist ids in the catalogue.
    """

    tables: dict[Table, dict[Key, Row]] = dataclass_field(
        default_factory=lambda: {t: {} for t in (ARTISTS, ALBUMS, TRACKS, PLAYLISTS, FIELDS)}
    )
    credits: dict[str, list[str]] = dataclass_field(default_factory=dict)


def derived_id(*names: str) -> str:
    """Return an id derived from the normalised name of an artist or album, such as `name:beyonce`."""
    return "name:" + "/".join(map(normalised, names))


def artists_of(record: TrackRecord) -> list[tuple[str, str | None]]:
    """Return (id, name) by artist in order.

    A missing id is derived from the name, and the name `A feat. B` without an id is two artists.
    """
    pairs = zip_longest(record.artist_ids, record.artists)
    return [
        (artist or derived_id(name), name)
        for artist, whole in pairs
        if artist or whole
        for name in ([whole] if artist else featured(whole))
    ]


def album_id_of(record: TrackRecord) -> str | None:
    """Return the album id, or an id derived from title and first artist, because titles are not unique."""
    if record.album_id or not record.album:
        return record.album_id or None
    return derived_id(record.album, *record.artists[:1])


def prepare(records: Iterable[Record], put: PutBlob) -> RowBatch:
    """Return the rows of a batch. Raises `DataError` for a value that cannot be stored."""
    batch, now = RowBatch(), time.time()
    for record in records:
        if isinstance(record, PlaylistRecord):
            own = {name: getattr(record, name) for name in ("id", "title", "description", "group", "split")}
            batch.tables[PLAYLISTS][record.id] = {**own, "length": len(record.tracks)}
        else:
            _add_track(batch, record, put, now)
    return batch


def prepare_fields(items: Iterable[tuple[str, str, Field]], put: PutBlob) -> RowBatch:
    """Return the rows of fields, given as (entity id, field name, field)."""
    batch, now = RowBatch(), time.time()
    for entity_id, name, field in items:
        _add_field(batch, entity_id, name, field, put, now)
    return batch


def write(connection: Connection, batch: RowBatch) -> None:
    """Write a batch inside the transaction of the caller."""
    if batch.credits:
        old = delete(TRACK_ARTISTS).where(TRACK_ARTISTS.c.track_id == bindparam("track"))
        connection.execute(old, [{"track": track} for track in batch.credits])
        rows = [
            {"track_id": track, "position": place, "artist_id": artist}
            for track, artists in batch.credits.items()
            for place, artist in enumerate(artists)
        ]
        connection.execute(insert(TRACK_ARTISTS), rows)
    for table, values in batch.tables.items():
        upsert(connection, table, list(values.values()), merge=table in (TRACKS, ARTISTS, ALBUMS))


def _add_track(batch: RowBatch, record: TrackRecord, put: PutBlob, now: float) -> None:
    artists, album = artists_of(record), album_id_of(record)
    row: Row = {
        "id": record.id,
        "title": record.title or None,
        "album_id": album,
        "duration_s": record.duration_s,
        "source": record.source or None,
        "train_allowed": record.train_allowed,
    }
    _merge(batch.tables[TRACKS], record.id, row)
    if album:
        _merge(batch.tables[ALBUMS], album, {"id": album, "title": record.album or None})
    for artist, name in artists:
        _merge(batch.tables[ARTISTS], artist, {"id": artist, "name": name or None})
    if artists:
        batch.credits[record.id] = list(dict.fromkeys(artist for artist, _ in artists))
    owners = {"track": record.id, "album": album, "artist": artists[0][0] if artists else None}
    for name, field in record.fields.items():
        owner = owners.get(field.entity)
        if owner is None:
            raise DataError(
                f"track {record.id!r}: field {name!r} requires {field.entity} of the track: set {field.entity}"
            )
        _add_field(batch, owner, name, field, put, now)


def _merge(rows: dict[Key, Row], key: str, row: Row) -> None:
    """Merge a row within a batch as `upsert(merge=True)` does, so that nulls keep the old value."""
    old = rows.get(key)
    rows[key] = row if old is None else {name: old[name] if value is None else value for name, value in row.items()}


def _add_field(batch: RowBatch, entity_id: str, name: str, field: Field, put: PutBlob, now: float) -> None:
    if field.entity not in ENTITIES:
        raise DataError(
            f"{entity_id!r}: entity {field.entity!r} of field {name!r} must be one of {', '.join(ENTITIES)}"
        )
    encoded = _encode(field, f"{field.entity} {entity_id!r}: field {name!r}", put)
    if encoded is None:
        return
    batch.tables[FIELDS][name, field.entity, entity_id, field.source] = {
        "field": name,
        "entity": field.entity,
        "entity_id": entity_id,
        "source": field.source,
        "kind": encoded[0],
        "value": encoded[1],
        "time": now,
        "match_score": field.match_score,
        "train_allowed": field.train_allowed,
    }


def _encode(field: Field, where: str, put: PutBlob) -> tuple[str, str] | None:
    """Return kind and stored text, or None for an empty text, which means a missing value."""
    value = field.value
    if isinstance(value, str):
        return ("text", value) if value.strip() else None
    if isinstance(value, bytes | Path):
        return "blob", put(value)
    if not value:
        raise DataError(f"{where} must be a non-empty vector: remove the field")
    if not all(-LARGEST <= number <= LARGEST for number in value):
        raise DataError(
            f"{where} must be finite as float32 and has NaN, infinity or a number beyond ±{LARGEST:.1e}: remove the"
            " field"
        )
    return "vector", msgspec.json.encode([float(number) for number in value]).decode()

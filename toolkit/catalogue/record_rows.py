"""Records as rows of the catalogue's tables."""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, bindparam, delete, insert

from toolkit.catalogue.database_schema import ALBUMS, ARTISTS, FIELDS, PLAYLISTS, TRACK_ARTISTS, TRACKS, Row, upsert
from toolkit.catalogue.records import Field, PlaylistRecord, Record, TrackRecord
from toolkit.errors import DataError


@dataclass
class Prepared:
    """Rows of one batch by table and key, so that an artist of a hundred tracks is written once.

    credits: artist ids of each track that names any; they replace what the catalogue has.
    """

    tables: dict[Table, dict[Any, Row]] = dataclass_field(
        default_factory=lambda: {t: {} for t in (ARTISTS, ALBUMS, TRACKS, PLAYLISTS, FIELDS)}
    )
    credits: dict[str, list[str]] = dataclass_field(default_factory=dict)


PutBlob = Callable[[bytes | Path], str]

ENTITIES = ("track", "album", "artist")


def derived_id(*names: str) -> str:
    """Id of an artist or album known by name alone: `name:beyonce`, the same for every spelling of case and space."""
    return "name:" + "/".join(" ".join(unicodedata.normalize("NFKC", name).casefold().split()) for name in names)


def artists_of(record: TrackRecord) -> list[tuple[str, str | None]]:
    """(id, name) per artist, in order; ids that the file lacks are derived from the names."""
    pairs = zip_longest(record.artist_ids, record.artists)
    return [(artist or derived_id(name), name) for artist, name in pairs if artist or name]


def album_id_of(record: TrackRecord) -> str | None:
    """The album's id; without one, its title beside the first artist's name, since titles such as `Greatest Hits` repeat."""
    if record.album_id or not record.album:
        return record.album_id or None
    return derived_id(record.album, *record.artists[:1])


def prepare(records: Iterable[Record], put: PutBlob) -> Prepared:
    """Rows of a batch. Raises `DataError` for a value the catalogue does not take."""
    prepared = Prepared()
    now = time.time()
    for record in records:
        if isinstance(record, PlaylistRecord):
            prepared.tables[PLAYLISTS][record.id] = _playlist_row(record)
        else:
            _add_track(prepared, record, put, now)
    return prepared


def prepare_fields(items: Iterable[tuple[str, str, Field]], put: PutBlob) -> Prepared:
    """Rows of fields alone: (entity id, field name, field)."""
    prepared = Prepared()
    now = time.time()
    for entity_id, name, field in items:
        _add_field(prepared, entity_id, name, field, put, now)
    return prepared


def write(connection: Connection, prepared: Prepared) -> None:
    """Write a batch inside the caller's transaction."""
    if prepared.credits:
        old = delete(TRACK_ARTISTS).where(TRACK_ARTISTS.c.track_id == bindparam("track"))
        connection.execute(old, [{"track": track} for track in prepared.credits])
        connection.execute(insert(TRACK_ARTISTS), _credit_rows(prepared.credits))
    for table, rows in prepared.tables.items():
        upsert(connection, table, list(rows.values()), merge=table in (TRACKS, ARTISTS, ALBUMS))


def _credit_rows(credits: dict[str, list[str]]) -> list[Row]:
    return [
        {"track_id": track, "position": place, "artist_id": artist}
        for track, artists in credits.items()
        for place, artist in enumerate(artists)
    ]


def _playlist_row(record: PlaylistRecord) -> Row:
    return {
        "id": record.id,
        "title": record.title,
        "description": record.description,
        "group": record.group,
        "split": record.split,
        "length": len(record.tracks),
    }


def _add_track(prepared: Prepared, record: TrackRecord, put: PutBlob, now: float) -> None:
    artists, album = artists_of(record), album_id_of(record)
    row = {
        "id": record.id,
        "title": record.title or None,
        "album_id": album,
        "duration_s": record.duration_s,
        "source": record.source or None,
        "train_allowed": record.train_allowed,
    }
    _merge(prepared.tables[TRACKS], record.id, row)
    if album:
        _merge(prepared.tables[ALBUMS], album, {"id": album, "title": record.album or None})
    for artist, name in artists:
        _merge(prepared.tables[ARTISTS], artist, {"id": artist, "name": name or None})
    if artists:
        prepared.credits[record.id] = list(dict.fromkeys(artist for artist, _ in artists))
    owners = {"track": record.id, "album": album, "artist": artists[0][0] if artists else None}
    for name, field in record.fields.items():
        owner = owners.get(field.entity)
        if owner is None:
            raise DataError(
                f"track {record.id!r}: field {name!r} is of its {field.entity}, which the track does not name"
            )
        _add_field(prepared, owner, name, field, put, now)


def _merge(rows: dict[Any, Row], key: str, row: Row) -> None:
    """As `upsert(merge=True)` does between batches: a null keeps what the batch had."""
    old = rows.get(key)
    rows[key] = row if old is None else {name: old[name] if value is None else value for name, value in row.items()}


def _add_field(prepared: Prepared, entity_id: str, name: str, field: Field, put: PutBlob, now: float) -> None:
    if field.entity not in ENTITIES:
        raise DataError(
            f"{entity_id!r}: entity {field.entity!r} of field {name!r} must be one of {', '.join(ENTITIES)}"
        )
    encoded = _encode(field, f"{field.entity} {entity_id!r}: field {name!r}", put)
    if encoded is None:
        return
    key = (name, field.entity, entity_id, field.source)
    prepared.tables[FIELDS][key] = {
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
    """Kind and stored text; None for an empty text, which is absence."""
    value = field.value
    if isinstance(value, str):
        return ("text", value) if value.strip() else None
    if isinstance(value, bytes | Path):
        return "blob", put(value)
    if not value:
        raise DataError(f"{where} is a vector without numbers: leave the field out instead")
    if not all(map(math.isfinite, value)):
        raise DataError(f"{where} holds NaN or infinity: leave the field out instead")
    return "vector", msgspec.json.encode([float(number) for number in value]).decode()

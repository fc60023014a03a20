"""Lookup of field values by track, with their sources."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, or_, select

from toolkit.catalogue.database_schema import ALBUMS, ARTISTS, FIELDS, TRACK_ARTISTS, TRACKS
from toolkit.errors import InputError

_WHOLE = 20_000
"""With this many ids or more, the whole column is read: one scan is faster than many lookups."""
_CHUNK = 900  # ids per query; older SQLite takes 999 variables

_OF_TRACK = {
    "title": TRACKS.c.title,
    "album": ALBUMS.c.title,
    "album_id": TRACKS.c.album_id,
    "duration": TRACKS.c.duration_s,
}
_OF_ARTISTS = {"artist": ARTISTS.c.name, "artist_id": TRACK_ARTISTS.c.artist_id}
NATIVE = (*_OF_TRACK, *_OF_ARTISTS)  # fields that every track record has itself

ID = "id"
"""The field of a track's own id. Every track has one, described or not, and using it needs no permission."""


class Provenance(TypedDict):
    """Number `n` of tracks with a field value from one source."""

    field: str
    source: str
    train_allowed: bool | None
    n: int


@dataclass(frozen=True, slots=True)
class SourcedValue:
    """Value of one track; `kind` is text, number, vector (float32 [d]) or blob (a key)."""

    kind: str
    value: str | float | np.ndarray
    source: str
    train_allowed: bool | None


def lookup(connection: Connection, field: str, ids: list[str], source: str | None) -> list[SourcedValue | None]:
    """Return one value per track id, or None for tracks without the field.

    Raises `InputError` for an unknown field or source.
    """
    if field == ID:
        return own_ids(ids)
    distinct = list(dict.fromkeys(ids))
    if field in NATIVE:
        values = native_values(connection, field, distinct)
    else:
        values, entities = {}, entities_of(connection, field, source)
        for entity in ("artist", "album", "track"):
            if entity in entities:
                values |= values_of(connection, field, distinct, entity, source)
    return [values.get(track) for track in ids]


def own_ids(ids: list[str]) -> list[SourcedValue | None]:
    """Return the ids as values."""
    return [SourcedValue("text", name, "", True) for name in ids]


def present(values: Sequence[object]) -> np.ndarray:
    """Return bool [n], true for values that are not None."""
    return np.array([value is not None for value in values], dtype=bool)


def as_texts(field: str, values: Sequence[SourcedValue | None]) -> list[str | None]:
    """Return values as text for templates. Raises `InputError` for vectors and blobs."""
    for value in values:
        if value is not None and value.kind in ("vector", "blob"):
            raise InputError(
                f"field {field!r} contains {value.kind}s, but a template requires text or numbers: use another field"
            )
    return [None if v is None else f"{v.value:g}" if v.kind == "number" else str(v.value) for v in values]


def family(source: str) -> str:
    """Return the origin of a source, for example `spotify` for the copy `spotify/p93all`."""
    return source.split("/", 1)[0]


def check_one_kind(field: str, values: Sequence[SourcedValue | None]) -> None:
    """Raise `InputError` if field values differ in kind, or vectors differ in source or length."""
    there = [value for value in values if value is not None]
    kinds = Counter(value.kind for value in there)
    if len(kinds) > 1:
        raise InputError(f"field {field!r} must have values of one kind ({_listed(kinds)}): set `source`")
    if "vector" not in kinds:
        return
    families = Counter(family(value.source) or "(none)" for value in there)
    if len(families) > 1:
        raise InputError(
            f"field {field!r} must have vectors from one source ({_listed(families)})"
            " because scales differ: set `source`"
        )
    lengths = Counter(np.size(value.value) for value in there)
    if len(lengths) > 1:
        raise InputError(f"field {field!r} must have vectors of one length ({_listed(lengths)}): set `source`")


def provenance(field: str, values: Iterable[SourcedValue | None]) -> list[Provenance]:
    """Return the number of values from each source, sorted by source."""
    count = Counter((value.source, value.train_allowed) for value in values if value is not None)
    order = sorted(count, key=lambda key: (key[0], str(key[1])))
    return [
        {"field": field, "source": source, "train_allowed": allowed, "n": count[source, allowed]}
        for source, allowed in order
    ]


def native_values(connection: Connection, field: str, ids: list[str]) -> dict[str, SourcedValue]:
    """Return values of a field that is a column of the track table, by track."""
    origin = (TRACKS.c.source, TRACKS.c.train_allowed)
    if field in _OF_TRACK:
        column = _OF_TRACK[field]
        tables = TRACKS.outerjoin(ALBUMS, ALBUMS.c.id == TRACKS.c.album_id) if field == "album" else TRACKS
        query = select(TRACKS.c.id, column, *origin).select_from(tables).where(column.is_not(None))
    else:
        column = _OF_ARTISTS[field]
        tables = TRACKS.join(TRACK_ARTISTS, TRACK_ARTISTS.c.track_id == TRACKS.c.id).join(
            ARTISTS, ARTISTS.c.id == TRACK_ARTISTS.c.artist_id
        )
        query = select(TRACKS.c.id, column, *origin).select_from(tables).where(column.is_not(None))
        query = query.order_by(TRACKS.c.id, TRACK_ARTISTS.c.position)
    kind, values = "number" if field == "duration" else "text", dict[str, SourcedValue]()
    for track, value, source, allowed in fetch(connection, query, TRACKS.c.id, ids):
        if track not in values:
            values[track] = SourcedValue(kind, value, source or "", allowed)
        elif field == "artist":
            values[track] = SourcedValue(kind, f"{values[track].value}, {value}", source or "", allowed)
    return values


def entities_of(connection: Connection, field: str, source: str | None) -> set[str]:
    """Return the kinds of entity that have the field (track, album or artist).

    Raises `InputError` for an unknown field or a field without values from the source.
    """
    rows = connection.execute(select(FIELDS.c.entity, FIELDS.c.source).where(FIELDS.c.field == field).distinct()).all()
    if not rows:
        known = sorted({ID, *NATIVE, *connection.scalars(select(FIELDS.c.field).distinct())})
        near = difflib.get_close_matches(field, known, n=1)
        cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise InputError(f"the catalogue has no field {field!r}: {cure}")
    entities = {
        entity for entity, origin in rows if source is None or origin == source or origin.startswith(f"{source}/")
    }
    if not entities:
        known = sorted({family(origin) or "(none)" for _, origin in rows})
        raise InputError(f"field {field!r} has no values from source {source!r}: use one of {', '.join(known)}")
    return entities


def values_of(
    connection: Connection, field: str, ids: list[str], entity: str, source: str | None
) -> dict[str, SourcedValue]:
    """Return values by track from one kind of entity, using the first artist with the field."""
    owners = _owners(connection, entity, ids)
    every = list(dict.fromkeys(owner for owned in owners.values() for owner in owned))
    best = best_values(connection, field, entity, source, every)
    firsts = {track: next((owner for owner in owned if owner in best), None) for track, owned in owners.items()}
    return {track: best[owner] for track, owner in firsts.items() if owner is not None}


def _owners(connection: Connection, entity: str, ids: list[str]) -> dict[str, list[str]]:
    """Return the entity ids of each track in order."""
    if entity == "track":
        return {track: [track] for track in ids}
    if entity == "album":
        query = select(TRACKS.c.id, TRACKS.c.album_id).where(TRACKS.c.album_id.is_not(None))
        return {track: [album] for track, album in fetch(connection, query, TRACKS.c.id, ids)}
    columns, owners = TRACK_ARTISTS.c, dict[str, list[str]]()
    query = select(columns.track_id, columns.artist_id).order_by(columns.track_id, columns.position)
    for track, artist in fetch(connection, query, columns.track_id, ids):
        owners.setdefault(track, []).append(artist)
    return owners


def best_values(
    connection: Connection, field: str, entity: str, source: str | None, ids: list[str]
) -> dict[str, SourcedValue]:
    """Return the best value per entity id, by highest match score, then newest, then last source name."""
    columns, chosen = FIELDS.c, set(ids)
    query = select(
        columns.entity_id,
        columns.match_score,
        columns.time,
        columns.source,
        columns.kind,
        columns.value,
        columns.train_allowed,
    ).where(columns.field == field, columns.entity == entity)
    if source is not None:
        query = query.where(or_(columns.source == source, columns.source.startswith(f"{source}/", autoescape=True)))
    best: dict[str, tuple[tuple[float, float, str], str, str, bool | None]] = {}
    for owner, score, time, origin, kind, value, allowed in fetch(connection, query, columns.entity_id, ids):
        merit = (1.0 if score is None else score, time, origin)
        if owner in chosen and (owner not in best or merit > best[owner][0]):
            best[owner] = (merit, kind, value, allowed)
    return {
        owner: SourcedValue(
            kind,
            np.array(msgspec.json.decode(value), dtype=np.float32) if kind == "vector" else value,
            merit[2],
            allowed,
        )
        for owner, (merit, kind, value, allowed) in best.items()
    }


def fetch(connection: Connection, query: Select[Any], column: ColumnElement[str], ids: Sequence[str]) -> Iterator[Any]:
    """Return rows with one of the ids in `column`, and for many ids also other rows."""
    if len(ids) >= _WHOLE:
        for part in connection.execute(query).partitions(_WHOLE):
            yield from part
        return
    for start in range(0, len(ids), _CHUNK):
        yield from connection.execute(query.where(column.in_(ids[start : start + _CHUNK])))


def _listed(counts: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{name}: {n}" for name, n in sorted(counts.items(), key=lambda item: str(item[0])))

"""Which value of a field each track gets, and where it came from."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, Select, or_, select

from toolkit.catalogue.database_schema import ALBUMS, ARTISTS, FIELDS, TRACK_ARTISTS, TRACKS
from toolkit.errors import InputError

_WHOLE = 20_000
"""From this many ids on the whole column is read: one scan beats many lookups."""
_CHUNK = 900
"""Ids a query; older SQLite takes 999 variables."""

_OF_TRACK: dict[str, ColumnElement[Any]] = {
    "title": TRACKS.c.title,
    "album": ALBUMS.c.title,
    "album_id": TRACKS.c.album_id,
    "duration": TRACKS.c.duration_s,
}
_OF_ARTISTS: dict[str, ColumnElement[Any]] = {"artist": ARTISTS.c.name, "artist_id": TRACK_ARTISTS.c.artist_id}
NATIVE = (*_OF_TRACK, *_OF_ARTISTS)
"""Fields that every track record carries itself."""

ID = "id"
"""The field of a track's own id, which every track has, described or not; it is nobody's content, so that no permission is needed."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The value one track gets. kind: text, number, vector (float32 [d]) or blob (its key)."""

    kind: str
    value: Any
    source: str
    train_allowed: bool | None


def choices(connection: Connection, field: str, ids: list[str], source: str | None) -> list[Choice | None]:
    """One choice per id, None where the field is absent. Raises `InputError` for an unknown field or source."""
    if field == ID:
        return own_ids(ids)
    distinct = list(dict.fromkeys(ids))
    if field in NATIVE:
        found = _native(connection, field, distinct)
        return [found.get(track) for track in ids]
    entities = _entities(connection, field, source)
    chosen: dict[str, Choice] = {}
    for entity in ("artist", "album", "track"):
        if entity in entities:
            chosen.update(_of_entity(connection, field, distinct, entity, source))
    return [chosen.get(track) for track in ids]


def own_ids(ids: list[str]) -> list[Choice | None]:
    """Ids as values."""
    return [Choice("text", each, "", True) for each in ids]


def present(values: Sequence[Any]) -> np.ndarray:
    """bool [n]: which values are there."""
    return np.array([value is not None for value in values], dtype=bool)


def texts(field: str, chosen: Sequence[Choice | None]) -> list[str | None]:
    """Choices as text, for templates. Raises `InputError` for vectors and blobs."""
    for choice in chosen:
        if choice is not None and choice.kind in ("vector", "blob"):
            raise InputError(f"field {field!r} holds {choice.kind}s: only texts and numbers go into a template")
    return [
        None if choice is None else f"{choice.value:g}" if choice.kind == "number" else choice.value
        for choice in chosen
    ]


def family(source: str) -> str:
    """The origin of a source: `spotify` for `spotify/p93all`, a copy of the same measurements."""
    return source.split("/", 1)[0]


def check_one_kind(field: str, chosen: Sequence[Choice | None]) -> None:
    """One column, one meaning. Raises `InputError` for mixed kinds, sources of vectors, or lengths."""
    there = [choice for choice in chosen if choice is not None]
    kinds = Counter(choice.kind for choice in there)
    if len(kinds) > 1:
        raise InputError(f"field {field!r} holds {_listed(kinds)}: choose one with source=")
    if "vector" not in kinds:
        return
    families = Counter(family(choice.source) or "(none)" for choice in there)
    if len(families) > 1:
        raise InputError(
            f"field {field!r} has vectors of several sources ({_listed(families)}), whose scales differ: choose one with source="
        )
    lengths = Counter(len(choice.value) for choice in there)
    if len(lengths) > 1:
        raise InputError(f"field {field!r} has vectors of several lengths ({_listed(lengths)})")


def provenance(field: str, chosen: Iterable[Choice | None]) -> list[dict[str, Any]]:
    """`field`, `source`, `train_allowed` and `n`, sorted by source."""
    count = Counter((choice.source, choice.train_allowed) for choice in chosen if choice is not None)
    order = sorted(count, key=lambda key: (key[0], str(key[1])))
    return [
        {"field": field, "source": source, "train_allowed": allowed, "n": count[source, allowed]}
        for source, allowed in order
    ]


def _native(connection: Connection, field: str, ids: list[str]) -> dict[str, Choice]:
    origin = (TRACKS.c.source, TRACKS.c.train_allowed)
    kind = "number" if field == "duration" else "text"
    if field in _OF_TRACK:
        column = _OF_TRACK[field]
        joined = TRACKS.outerjoin(ALBUMS, ALBUMS.c.id == TRACKS.c.album_id) if field == "album" else TRACKS
        query = select(TRACKS.c.id, column, *origin).select_from(joined).where(column.is_not(None))
        return {
            track: Choice(kind, value, source or "", allowed)
            for track, value, source, allowed in _fetch(connection, query, TRACKS.c.id, ids)
        }
    column = _OF_ARTISTS[field]
    credits = TRACKS.join(TRACK_ARTISTS, TRACK_ARTISTS.c.track_id == TRACKS.c.id).join(
        ARTISTS, ARTISTS.c.id == TRACK_ARTISTS.c.artist_id
    )
    query = (
        select(TRACKS.c.id, column, *origin)
        .select_from(credits)
        .where(column.is_not(None))
        .order_by(TRACKS.c.id, TRACK_ARTISTS.c.position)
    )
    found: dict[str, Choice] = {}
    for track, value, source, allowed in _fetch(connection, query, TRACKS.c.id, ids):
        if track not in found:
            found[track] = Choice(kind, value, source or "", allowed)
        elif field == "artist":
            found[track] = Choice(kind, f"{found[track].value}, {value}", source or "", allowed)
    return found


def _entities(connection: Connection, field: str, source: str | None) -> set[str]:
    """Whose the field is: some of track, album, artist."""
    rows = connection.execute(select(FIELDS.c.entity, FIELDS.c.source).where(FIELDS.c.field == field).distinct()).all()
    if not rows:
        known = sorted({ID, *NATIVE, *connection.scalars(select(FIELDS.c.field).distinct())})
        near = difflib.get_close_matches(field, known, n=1)
        raise InputError(
            f"the catalogue has no field {field!r}: "
            + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}")
        )
    entities = {
        entity for entity, origin in rows if source is None or origin == source or origin.startswith(f"{source}/")
    }
    if not entities:
        known = sorted({family(origin) or "(none)" for _, origin in rows})
        raise InputError(f"field {field!r} has nothing from source {source!r}: known: {', '.join(known)}")
    return entities


def _of_entity(
    connection: Connection, field: str, ids: list[str], entity: str, source: str | None
) -> dict[str, Choice]:
    """Choices by track: of its owners of this kind, the first that has the field."""
    owners = _owners(connection, entity, ids)
    wanted = list(dict.fromkeys(owner for owned in owners.values() for owner in owned))
    best = _best(connection, field, entity, source, wanted)
    made: dict[str, Choice] = {}
    chosen: dict[str, Choice] = {}
    for track, owned in owners.items():
        owner = next((owner for owner in owned if owner in best), None)
        if owner is not None:
            if owner not in made:
                made[owner] = _choice(best[owner])
            chosen[track] = made[owner]
    return chosen


def _owners(connection: Connection, entity: str, ids: list[str]) -> dict[str, list[str]]:
    """Entity ids of each track, in order."""
    if entity == "track":
        return {track: [track] for track in ids}
    if entity == "album":
        query = select(TRACKS.c.id, TRACKS.c.album_id).where(TRACKS.c.album_id.is_not(None))
        return {track: [album] for track, album in _fetch(connection, query, TRACKS.c.id, ids)}
    query = select(TRACK_ARTISTS.c.track_id, TRACK_ARTISTS.c.artist_id).order_by(
        TRACK_ARTISTS.c.track_id, TRACK_ARTISTS.c.position
    )
    owners: dict[str, list[str]] = {}
    for track, artist in _fetch(connection, query, TRACK_ARTISTS.c.track_id, ids):
        owners.setdefault(track, []).append(artist)
    return owners


def _best(
    connection: Connection, field: str, entity: str, source: str | None, wanted: list[str]
) -> dict[str, Row[Any]]:
    """The best row per entity id: highest match score, then newest, then by source name so that a tie is stable."""
    query = select(FIELDS).where(FIELDS.c.field == field, FIELDS.c.entity == entity)
    if source is not None:
        query = query.where(or_(FIELDS.c.source == source, FIELDS.c.source.startswith(f"{source}/", autoescape=True)))
    best: dict[str, Row[Any]] = {}
    for row in _fetch(connection, query, FIELDS.c.entity_id, wanted):
        old = best.get(row.entity_id)
        if old is None or _merit(row) > _merit(old):
            best[row.entity_id] = row
    return best


def _merit(row: Row[Any]) -> tuple[float, float, str]:
    return (1.0 if row.match_score is None else row.match_score, row.time, row.source)


def _choice(row: Row[Any]) -> Choice:
    value = np.array(msgspec.json.decode(row.value), dtype=np.float32) if row.kind == "vector" else row.value
    return Choice(row.kind, value, row.source, row.train_allowed)


def _fetch(connection: Connection, query: Select[Any], column: ColumnElement[Any], ids: Sequence[str]) -> Iterator[Any]:
    """Rows whose `column` is among the ids; perhaps more of them, when there are many ids."""
    if len(ids) >= _WHOLE:
        for part in connection.execute(query).partitions(_WHOLE):
            yield from part
        return
    for start in range(0, len(ids), _CHUNK):
        yield from connection.execute(query.where(column.in_(ids[start : start + _CHUNK])))


def _listed(counts: Counter[Any]) -> str:
    return ", ".join(f"{name}: {n}" for name, n in sorted(counts.items(), key=lambda item: str(item[0])))

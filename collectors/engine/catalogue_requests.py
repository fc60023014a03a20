"""Requests to sources, built from tracks, albums and artists in the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from collectors.source import ID_FIELDS, Entity, Request
from toolkit.catalogue.database_schema import ALBUMS, ARTISTS, FIELDS, TRACK_ARTISTS, TRACKS

MAX_TITLES = 5
"""Titles of tracks that distinguish an artist or album from its namesakes."""

Ids = dict[str, dict[str, str]]


def build(connection: Connection, entity: Entity, fields: Iterable[tuple[str, tuple[str, ...]]]) -> list[Request]:
    """Return requests for entities of one kind, in the order of the (id, fields) pairs."""
    fields_by_id = dict(fields)
    ids = list(fields_by_id)
    make = {"track": _tracks, "album": _albums, "artist": _artists}[entity]
    known = {request.id: request for request in make(connection, ids)}
    external = external_ids(connection, entity, ids)
    return [
        replace(known.get(key) or Request(entity, key), fields=names, ids=external[key])
        for key, names in fields_by_id.items()
    ]


def external_ids(connection: Connection, entity: Entity, ids: Sequence[str]) -> Ids:
    """Return external ids by entity, from the id itself or from the best match of an earlier source."""
    query = (
        select(FIELDS.c.entity_id, FIELDS.c.field, FIELDS.c.value)
        .where(
            FIELDS.c.field.in_(ID_FIELDS),
            FIELDS.c.entity == entity,
            FIELDS.c.entity_id.in_(ids),
            FIELDS.c.kind == "text",
        )
        .order_by(FIELDS.c.match_score.asc().nulls_last(), FIELDS.c.time)
    )
    external: Ids = {entity_id: {} for entity_id in ids}
    for entity_id, name, value in connection.execute(query):
        external[entity_id][name] = value
    for entity_id in ids:
        # `spotify:track:X`, `isrc:X`, `mbid:X`
        scheme, _, rest = entity_id.partition(":")
        if scheme in ID_FIELDS and rest:
            external[entity_id][scheme] = rest.rpartition(":")[2]
    return external


def _tracks(connection: Connection, ids: list[str]) -> list[Request]:
    artists = _credits(connection, ids)
    query = (
        select(TRACKS.c.id, TRACKS.c.title, TRACKS.c.duration_s, TRACKS.c.album_id, ALBUMS.c.title.label("album"))
        .select_from(TRACKS.outerjoin(ALBUMS, ALBUMS.c.id == TRACKS.c.album_id))
        .where(TRACKS.c.id.in_(ids))
    )
    return [
        Request(
            "track",
            row.id,
            title=row.title,
            artists=tuple(name for _, name in artists.get(row.id, ()) if name),
            album=row.album,
            duration_s=row.duration_s,
            album_id=row.album_id,
            artist_ids=tuple(artist for artist, _ in artists.get(row.id, ())),
        )
        for row in connection.execute(query)
    ]


def _albums(connection: Connection, ids: list[str]) -> list[Request]:
    """Return albums with the artists of the first track."""
    tracks = connection.execute(
        select(TRACKS.c.album_id, TRACKS.c.id, TRACKS.c.title).where(TRACKS.c.album_id.in_(ids)).order_by(TRACKS.c.id)
    ).all()
    titles = _first_titles([(row.album_id, row.title) for row in tracks])
    first_track = {row.album_id: row.id for row in reversed(tracks)}
    credits = _credits(connection, list(first_track.values()))
    artists = {album_id: credits.get(track, []) for album_id, track in first_track.items()}
    albums = connection.execute(select(ALBUMS.c.id, ALBUMS.c.title).where(ALBUMS.c.id.in_(ids)))
    return [
        Request(
            "album",
            album_id,
            title=title,
            artists=tuple(name for _, name in artists.get(album_id, ()) if name),
            album=title,
            titles=titles.get(album_id, ()),
            artist_ids=tuple(artist for artist, _ in artists.get(album_id, ())),
        )
        for album_id, title in albums
    ]


def _artists(connection: Connection, ids: list[str]) -> list[Request]:
    """Return artists with titles of tracks on which they are credited first."""
    query = (
        select(TRACK_ARTISTS.c.artist_id, TRACKS.c.title)
        .select_from(TRACK_ARTISTS.join(TRACKS, TRACKS.c.id == TRACK_ARTISTS.c.track_id))
        .where(TRACK_ARTISTS.c.artist_id.in_(ids), TRACK_ARTISTS.c.position == 0)
        .order_by(TRACKS.c.id)
    )
    titles = _first_titles([(artist, title) for artist, title in connection.execute(query)])
    names = connection.execute(select(ARTISTS.c.id, ARTISTS.c.name).where(ARTISTS.c.id.in_(ids)))
    return [
        Request("artist", artist_id, artists=(name,) if name else (), titles=titles.get(artist_id, ()))
        for artist_id, name in names
    ]


def _credits(connection: Connection, tracks: Sequence[str]) -> dict[str, list[tuple[str, str | None]]]:
    """Return (artist id, name) pairs by track, in the order of the credits."""
    query = (
        select(TRACK_ARTISTS.c.track_id, TRACK_ARTISTS.c.artist_id, ARTISTS.c.name)
        .select_from(TRACK_ARTISTS.outerjoin(ARTISTS, ARTISTS.c.id == TRACK_ARTISTS.c.artist_id))
        .where(TRACK_ARTISTS.c.track_id.in_(tracks))
        .order_by(TRACK_ARTISTS.c.track_id, TRACK_ARTISTS.c.position)
    )
    credits: dict[str, list[tuple[str, str | None]]] = {}
    for track, artist, name in connection.execute(query):
        credits.setdefault(track, []).append((artist, name))
    return credits


def _first_titles(pairs: Sequence[tuple[str, str | None]]) -> dict[str, tuple[str, ...]]:
    """Return the first `MAX_TITLES` distinct titles by owner."""
    titles: dict[str, tuple[str, ...]] = {}
    for owner, title in pairs:
        known = titles.get(owner, ())
        if title and len(known) < MAX_TITLES and title not in known:
            titles[owner] = (*known, title)
    return titles

"""Requests: what the catalogue knows of the entities that a source is to be asked about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from collectors.source import ID_FIELDS, Entity, Request
from toolkit.catalogue.database_schema import ALBUMS, ARTISTS, FIELDS, TRACK_ARTISTS, TRACKS

TITLES = 5
"""Titles that tell an artist or album from its namesakes."""

Ids = dict[str, dict[str, str]]


def build(connection: Connection, entity: Entity, fields: Iterable[tuple[str, tuple[str, ...]]]) -> list[Request]:
    """Requests of one kind of entity: (id, fields asked for). In the given order."""
    wanted = dict(fields)
    make = {"track": _tracks, "album": _albums, "artist": _artists}[entity]
    made = {
        request.id: request
        for request in make(connection, list(wanted), wanted, held(connection, entity, list(wanted)))
    }
    return [made.get(one) or Request(entity, one, asked) for one, asked in wanted.items()]


def held(connection: Connection, entity: Entity, ids: Sequence[str]) -> Ids:
    """Ids at other places by entity: from its own id's scheme, and of what was found the best match."""
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
    found: Ids = {one: {} for one in ids}
    for one, name, value in connection.execute(query):
        found[one][name] = value
    for one in ids:
        found[one] |= scheme(one)
    return found


def scheme(entity_id: str) -> dict[str, str]:
    """The id that an entity's own id is: `spotify:track:X`, `isrc:X`, `mbid:X`."""
    head, _, rest = entity_id.partition(":")
    return {head: rest.rpartition(":")[2]} if head in ID_FIELDS and rest else {}


def _tracks(connection: Connection, ids: list[str], fields: dict[str, tuple[str, ...]], known: Ids) -> list[Request]:
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
            fields[row.id],
            known[row.id],
            title=row.title,
            artists=tuple(name for _, name in artists.get(row.id, ()) if name),
            album=row.album,
            duration_s=row.duration_s,
            album_id=row.album_id,
            artist_ids=tuple(artist for artist, _ in artists.get(row.id, ())),
        )
        for row in connection.execute(query)
    ]


def _albums(connection: Connection, ids: list[str], fields: dict[str, tuple[str, ...]], known: Ids) -> list[Request]:
    tracks = connection.execute(
        select(TRACKS.c.album_id, TRACKS.c.id, TRACKS.c.title).where(TRACKS.c.album_id.in_(ids)).order_by(TRACKS.c.id)
    ).all()
    titles = _some([(row.album_id, row.title) for row in tracks])
    first = {row.album_id: row.id for row in reversed(tracks)}
    artists = _credits(connection, list(first.values()))
    requests = []
    for one, title in connection.execute(select(ALBUMS.c.id, ALBUMS.c.title).where(ALBUMS.c.id.in_(ids))):
        credits = artists.get(first.get(one, ""), [])
        names, owners = tuple(name for _, name in credits if name), tuple(artist for artist, _ in credits)
        some = titles.get(one, ())
        requests.append(
            Request(
                "album",
                one,
                fields[one],
                known[one],
                title=title,
                artists=names,
                album=title,
                titles=some,
                artist_ids=owners,
            )
        )
    return requests


def _artists(connection: Connection, ids: list[str], fields: dict[str, tuple[str, ...]], known: Ids) -> list[Request]:
    query = (
        select(TRACK_ARTISTS.c.artist_id, TRACKS.c.title)
        .select_from(TRACK_ARTISTS.join(TRACKS, TRACKS.c.id == TRACK_ARTISTS.c.track_id))
        .where(TRACK_ARTISTS.c.artist_id.in_(ids), TRACK_ARTISTS.c.position == 0)
        .order_by(TRACKS.c.id)
    )
    titles = _some([(artist, title) for artist, title in connection.execute(query)])
    names = connection.execute(select(ARTISTS.c.id, ARTISTS.c.name).where(ARTISTS.c.id.in_(ids)))
    return [
        Request("artist", one, fields[one], known[one], artists=(name,) if name else (), titles=titles.get(one, ()))
        for one, name in names
    ]


def _credits(connection: Connection, tracks: Sequence[str]) -> dict[str, list[tuple[str, str | None]]]:
    """(artist id, name) of each track, in order."""
    query = (
        select(TRACK_ARTISTS.c.track_id, TRACK_ARTISTS.c.artist_id, ARTISTS.c.name)
        .select_from(TRACK_ARTISTS.outerjoin(ARTISTS, ARTISTS.c.id == TRACK_ARTISTS.c.artist_id))
        .where(TRACK_ARTISTS.c.track_id.in_(tracks))
        .order_by(TRACK_ARTISTS.c.track_id, TRACK_ARTISTS.c.position)
    )
    found: dict[str, list[tuple[str, str | None]]] = {}
    for track, artist, name in connection.execute(query):
        found.setdefault(track, []).append((artist, name))
    return found


def _some(pairs: Sequence[tuple[str, str | None]]) -> dict[str, tuple[str, ...]]:
    """A few titles by owner."""
    found: dict[str, tuple[str, ...]] = {}
    for owner, title in pairs:
        if title and len(found.get(owner, ())) < TITLES and title not in found.get(owner, ()):
            found[owner] = (*found.get(owner, ()), title)
    return found

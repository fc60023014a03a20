"""The catalogue seen by artist: fields of artists, and what their tracks say where artists have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, select

from toolkit.catalogue import field_choice
from toolkit.catalogue.database_schema import ARTISTS, TRACK_ARTISTS
from toolkit.catalogue.field_choice import Choice
from toolkit.catalogue.store import Catalogue


class ArtistCatalogue(Catalogue):
    """A catalogue whose `field_values` and `provenance` take artists' ids.

    A field is the artist's own where there is one. Elsewhere their tracks' (or albums') stand for it: vectors and numbers by their mean,
    texts and files by the first track's, tracks on which the artist is named first before others.
    """

    def credits(self, track_ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray, pa.Table]:
        """Who is credited for which of the tracks: their places int64 [c], those of the artists int64 [c], and the artists as a track
        table (id, title, artist, album), in the order of their first track."""
        place = {track: row for row, track in enumerate(track_ids)}
        query = select(TRACK_ARTISTS.c.track_id, TRACK_ARTISTS.c.artist_id)
        with self._transaction() as connection:
            found = [(place[track], artist) for track, artist in connection.execute(query) if track in place]
            names = dict(connection.execute(select(ARTISTS.c.id, ARTISTS.c.name)).all())
        found.sort(key=lambda credit: credit[0])
        number: dict[str, int] = {}
        of = np.array([number.setdefault(artist, len(number)) for _, artist in found], np.int64)
        told = pa.array([names.get(artist) for artist in number], pa.string())
        table = pa.table(
            {
                "id": pa.array(list(number), pa.string()),
                "title": told,
                "artist": told,
                "album": pa.nulls(len(number), pa.string()),
            }
        )
        return np.array([row for row, _ in found], np.int64), of, table

    def _choices(self, field: str, track_ids: Sequence[str], source: str | None) -> list[Choice | None]:
        with self._transaction() as connection:
            return choices(connection, field, list(track_ids), source)


def choices(connection: Connection, field: str, artists: list[str], source: str | None) -> list[Choice | None]:
    """One choice per artist id, None where neither the artist nor a track has the field. Raises as `fields.choices` does."""
    if field == field_choice.ID:
        return field_choice.own_ids(artists)
    found: dict[str, Choice] = {}
    wanted = list(dict.fromkeys(artists))
    if field in ("artist", "artist_id"):
        names = dict(
            map(tuple, field_choice._fetch(connection, select(ARTISTS.c.id, ARTISTS.c.name), ARTISTS.c.id, wanted))
        )
        origins = _of_tracks(connection, field, wanted, {"track"}, source)
        named = {artist: artist if field == "artist_id" else names.get(artist) for artist in origins}
        return [
            replace(origins[artist], value=named[artist]) if artist in origins and named[artist] is not None else None
            for artist in artists
        ]
    entities = {"track"} if field in field_choice.NATIVE else field_choice._entities(connection, field, source)
    if "artist" in entities:
        best = field_choice._best(connection, field, "artist", source, wanted)
        found = {artist: field_choice._choice(row) for artist, row in best.items()}
    missing = [artist for artist in wanted if artist not in found]
    if missing and entities - {"artist"}:
        found |= _of_tracks(connection, field, missing, entities, source)
    return [found.get(artist) for artist in artists]


def _of_tracks(
    connection: Connection, field: str, artists: list[str], entities: set[str], source: str | None
) -> dict[str, Choice]:
    """What the artists' tracks say."""
    columns = TRACK_ARTISTS.c
    query = select(columns.artist_id, columns.position, columns.track_id)
    wanted = set(artists)
    credits = sorted(
        row
        for row in map(tuple, field_choice._fetch(connection, query, columns.artist_id, artists))
        if row[0] in wanted
    )
    ids = list(dict.fromkeys(track for _, _, track in credits))
    told: dict[str, Choice] = field_choice._native(connection, field, ids) if field in field_choice.NATIVE else {}
    for entity in ("album", "track"):
        if entity in entities and field not in field_choice.NATIVE:
            told |= field_choice._of_entity(connection, field, ids, entity, source)
    heard: dict[str, list[Choice]] = {}
    for artist, _, track in credits:
        if track in told:
            heard.setdefault(artist, []).append(told[track])
    return {artist: _one(some) for artist, some in heard.items()}


def _one(some: list[Choice]) -> Choice:
    """The mean of vectors or numbers of one form, else the first."""
    first = some[0]
    alike = [choice for choice in some if choice.kind == first.kind and np.shape(choice.value) == np.shape(first.value)]
    # a mean may be trained on where all it is made of may
    origin = next((choice for choice in alike if choice.train_allowed is not True), first)
    if first.kind == "vector":
        return replace(
            origin, value=np.mean([choice.value for choice in alike], axis=0, dtype=np.float64).astype(np.float32)
        )
    return (
        replace(origin, value=float(np.mean([choice.value for choice in alike]))) if first.kind == "number" else first
    )

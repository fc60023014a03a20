"""Catalogue view by artist, with missing fields taken from tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, select

from toolkit.catalogue import field_lookup
from toolkit.catalogue.database_schema import ARTISTS, TRACK_ARTISTS
from toolkit.catalogue.field_lookup import SourcedValue
from toolkit.catalogue.store import Catalogue


class ArtistCatalogue(Catalogue):
    """Catalogue with artist ids as arguments of `field_values` and `provenance`.

    If an artist has no value of a field, the value is derived from tracks (or albums), as the mean of
    vectors and numbers or as the first text or file. Tracks on which the artist is credited first are preferred.
    """

    def credits(self, track_ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray, pa.Table]:
        """Return the artists that are credited for tracks.

        Returns rows of tracks int64 [c], rows of artists int64 [c], and the artists as a track table (id, title,
        artist, album), in the order of their first track.
        """
        row_of = {track: row for row, track in enumerate(track_ids)}
        query = select(TRACK_ARTISTS.c.track_id, TRACK_ARTISTS.c.artist_id)
        with self._transaction() as connection:
            pairs = [(row_of[track], artist) for track, artist in connection.execute(query) if track in row_of]
            name_of = dict(map(tuple, connection.execute(select(ARTISTS.c.id, ARTISTS.c.name))))
        pairs.sort(key=lambda credit: credit[0])
        number: dict[str, int] = {}
        artists = np.array([number.setdefault(artist, len(number)) for _, artist in pairs], np.int64)
        names = pa.array([name_of.get(artist) for artist in number], pa.string())
        nothing = pa.nulls(len(number), pa.string())
        table = pa.table({"id": pa.array(list(number), pa.string()), "title": names, "artist": names, "album": nothing})
        return np.array([row for row, _ in pairs], np.int64), artists, table

    def _lookup(self, field: str, track_ids: Sequence[str], source: str | None) -> list[SourcedValue | None]:
        with self._transaction() as connection:
            return lookup(connection, field, list(track_ids), source)


def lookup(connection: Connection, field: str, artists: list[str], source: str | None) -> list[SourcedValue | None]:
    """Return one value per artist id, or None if neither the artist nor a track has the field.

    Raises `InputError` like `field_lookup.lookup`.
    """
    if field == field_lookup.ID:
        return field_lookup.own_ids(artists)
    distinct = list(dict.fromkeys(artists))
    if field in ("artist", "artist_id"):
        query = select(ARTISTS.c.id, ARTISTS.c.name)
        names = {row[0]: row[1] for row in field_lookup.fetch(connection, query, ARTISTS.c.id, distinct)}
        origins = _of_tracks(connection, field, distinct, {"track"}, source)
        named = {artist: artist if field == "artist_id" else names.get(artist) for artist in origins}
        own = {artist: replace(origins[artist], value=name) for artist, name in named.items() if name is not None}
        return [own.get(artist) for artist in artists]
    native = field in field_lookup.NATIVE
    entities = {"track"} if native else field_lookup.entities_of(connection, field, source)
    values: dict[str, SourcedValue] = {}
    if "artist" in entities:
        values |= field_lookup.best_values(connection, field, "artist", source, distinct)
    missing = [artist for artist in distinct if artist not in values]
    if missing and entities - {"artist"}:
        values |= _of_tracks(connection, field, missing, entities, source)
    return [values.get(artist) for artist in artists]


def _of_tracks(
    connection: Connection, field: str, artists: list[str], entities: set[str], source: str | None
) -> dict[str, SourcedValue]:
    """Return values by artist from tracks."""
    columns, chosen = TRACK_ARTISTS.c, set(artists)
    query = select(columns.artist_id, columns.position, columns.track_id)
    rows = field_lookup.fetch(connection, query, columns.artist_id, artists)
    credits = sorted((artist, position, track) for artist, position, track in rows if artist in chosen)
    ids, native = list(dict.fromkeys(track for _, _, track in credits)), field in field_lookup.NATIVE
    values = field_lookup.native_values(connection, field, ids) if native else {}
    for entity in ("album", "track"):
        if entity in entities and not native:
            values |= field_lookup.values_of(connection, field, ids, entity, source)
    of_artist: dict[str, list[SourcedValue]] = {}
    for artist, _, track in credits:
        if track in values:
            of_artist.setdefault(artist, []).append(values[track])
    return {artist: _combined(several) for artist, several in of_artist.items()}


def _combined(values: list[SourcedValue]) -> SourcedValue:
    """Return the mean of vectors or numbers with equal shapes, otherwise the first value."""
    first = values[0]
    alike = [value for value in values if value.kind == first.kind and np.shape(value.value) == np.shape(first.value)]
    # a mean may be trained on if all of its parts may
    origin = next((value for value in alike if value.train_allowed is not True), first)
    if first.kind not in ("vector", "number"):
        return first
    mean = np.array([value.value for value in alike]).mean(axis=0, dtype=np.float64)
    return replace(origin, value=mean.astype(np.float32) if first.kind == "vector" else float(mean))

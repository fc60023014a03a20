"""Conversion of Arrow batches to blocks, with one playlist entry or one playlist per row.

A bad row is reported like one of a text file, and left out if records are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.catalogue.readers.open_files import Bad
from toolkit.catalogue.readers.reader import shortened
from toolkit.catalogue.readers.tables import column_types
from toolkit.catalogue.readers.tables.column_layout import Layout
from toolkit.catalogue.readers.tables.delimited import stripped
from toolkit.catalogue.readers.tables.playlist_spool import LARGEST_POSITION, POSITION_RULE
from toolkit.catalogue.readers.tables.record_blocks import Placements, Playlists, Tracks
from toolkit.catalogue.readers.tables.track_columns import TrackColumns
from toolkit.timestamps import NO_TIME, TIME_RULE

Where = Callable[[int], str]  # returns file and row, for messages, of a row of the batch


@dataclass(frozen=True)
class Opened:
    """Batch with one playlist per row.

    - tracks, where: table of all list entries, and function that returns the location of an entry.
    - owners: int64, index in `block` of the playlist of each entry.
    """

    block: Playlists
    tracks: pa.RecordBatch
    where: Where
    owners: np.ndarray


@dataclass(frozen=True)
class TableRows:
    """Converter of batches with one layout; `scheme` is the prefix for track ids without a scheme."""

    layout: Layout
    scheme: str
    bad: Bad

    def flat(self, batch: pa.RecordBatch, where: Where) -> Placements:
        """Return a block from rows with one playlist entry each."""
        layout = self.layout
        track = column_types.ids(batch.column(layout.track), self.scheme, where, layout.track)
        playlist = column_types.ids(batch.column(layout.playlist), None, where, layout.playlist)
        faults = {row: f"must have a value for {layout.track}" for row in _nulls(track)} | {
            row: f"must have a value for {layout.playlist}" for row in _nulls(playlist)
        }
        time = _times(batch, layout.time, faults)
        position = _positions(batch, layout.position, faults)
        if position is None and time is not None:
            position = time.astype(np.float64)
        about = [None if name is None else column_types.texts(batch.column(name)) for name in layout.about]
        fields = {name: column_types.texts(batch.column(column)) for name, column in layout.fields}
        if faults:
            good = self._good(faults, batch.num_rows, where)
            fields = {name: column.filter(pa.array(good)) for name, column in fields.items()}
            playlist, track = playlist.filter(pa.array(good)), track.filter(pa.array(good))
            position, time = (None if column is None else column[good] for column in (position, time))
            about = [None if column is None else column.filter(pa.array(good)) for column in about]
        title, description, group, split = about
        return Placements(playlist, track, position, time, title, description, group, split, fields)

    def lists(self, batch: pa.RecordBatch, where: Where) -> Opened:
        """Return a block from rows with one playlist each. A bad track is dropped from its playlist."""
        layout = self.layout
        listed = [
            name
            for name in batch.schema.names
            if column_types.is_list(column_types.inner(batch.schema.field(name).type))
        ]
        faults = {
            row: f"must have a value for {layout.playlist}"
            for row in _nulls(column_types.ids(batch.column(layout.playlist), None, where, layout.playlist))
        }
        faults |= _uneven(batch, listed, layout.track)
        moments = None if layout.time in listed else _times(batch, layout.time, faults, required=False)
        rows = np.arange(batch.num_rows)
        if faults:
            good = self._good(faults, batch.num_rows, where)
            rows, batch, moments = rows[good], batch.filter(pa.array(good)), None if moments is None else moments[good]
        lengths = _lengths(batch.column(layout.track))
        ends = np.cumsum(lengths)
        owners = np.repeat(np.arange(len(lengths)), lengths)

        def inside(entry: int) -> str:
            owner = int(owners[entry])
            return f"{where(int(rows[owner]))}, track {entry - int(ends[owner] - lengths[owner])}"

        tracks = pa.RecordBatch.from_arrays(
            [column_types.plain(batch.column(name)).flatten() for name in listed], names=listed
        )
        return Opened(self._playlists(batch, tracks, owners, inside, moments), tracks, inside, owners)

    def _playlists(
        self,
        batch: pa.RecordBatch,
        tracks: pa.RecordBatch,
        owners: np.ndarray,
        inside: Where,
        moments: np.ndarray | None,
    ) -> Playlists:
        layout = self.layout
        track = column_types.ids(tracks.column(layout.track), self.scheme, inside, layout.track)
        faults = {entry: f"must have a value for {layout.track}" for entry in _nulls(track)}
        times = _times(tracks, layout.time, faults) if layout.time in tracks.schema.names else None
        position = _positions(tracks, layout.position, faults)
        order = np.flatnonzero(self._good(faults, len(owners), inside))
        if position is None and times is not None:
            position = times.astype(np.float64)
        if position is not None:
            order = order[np.lexsort((position[order], owners[order]))]
        if faults or position is not None:
            track, times = track.take(pa.array(order)), None if times is None else times[order]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(owners[order], minlength=batch.num_rows))]).astype(
            np.int64
        )
        ids = column_types.ids(batch.column(layout.playlist), None, inside, layout.playlist).dictionary_decode()
        about = [None if name is None else column_types.texts(batch.column(name)) for name in layout.about]
        fields = {name: column_types.texts(batch.column(column)) for name, column in layout.fields}
        title, description, group, split = about
        return Playlists(ids, offsets, track, times, moments, title, description, group, split, fields)

    def _good(self, faults: dict[int, str], n: int, where: Where) -> np.ndarray:
        """Report faults by row, and return a mask of rows without faults, bool [n]."""
        good = np.ones(n, bool)
        for row in sorted(faults):
            self.bad(where(row), faults[row])
            good[row] = False
        return good


def track_names(
    track: pa.DictionaryArray, batch: pa.RecordBatch, columns: TrackColumns, rows: np.ndarray, *, table: int
) -> Tracks:
    """Return ids and names of tracks at some rows of a batch."""
    place, header = pa.array(rows), batch.schema.names
    title, artist, album = (
        None if name is None else batch.column(name).take(place) for name in name_columns(columns, header)
    )
    none = pa.nulls(len(rows), pa.string())
    return Tracks(
        track.take(place).dictionary_decode(),
        none if title is None else column_types.texts(title),
        none if artist is None else artist_texts(artist, columns.artist_separator),
        none if album is None else column_types.texts(album),
        table,
    )


def name_columns(columns: TrackColumns, header: Sequence[str]) -> tuple[str | None, str | None, str | None]:
    """Return the columns of titles, artists and albums, or None for missing columns."""
    chosen = (columns.title or "title", columns.artist or "artist", columns.album or "album")
    title, artist, album = (name if name in header else None for name in chosen)
    return title, artist, album


def first_rows(track: pa.DictionaryArray) -> np.ndarray:
    """Return the first row of each id, int64 ascending."""
    codes = track.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    # missing ids have one more code, which is dropped
    found = column_types.first_places(np.where(codes < 0, len(track.dictionary), codes), len(track.dictionary) + 1)[:-1]
    return np.sort(found[found < len(codes)])


def artist_texts(array: pa.Array, separator: str) -> pa.Array:
    """Return artists as one text, string [n]. Several artists are joined by commas without repetition."""
    array = column_types.plain(array)
    if pa.types.is_dictionary(array.type):
        return artist_texts(array.dictionary, separator).take(array.indices)
    if column_types.is_list(array.type):
        return pa.array([_once(parts or ()) for parts in array.to_pylist()], pa.string())
    single = column_types.texts(array)
    several = pc.match_substring(single, separator).fill_null(False)
    if not pc.any(several).as_py():
        return single
    split = [_once(text.split(separator)) for text in single.filter(several).to_pylist()]
    return pc.replace_with_mask(single, several, pa.array(split, pa.string()))


def _once(parts: Sequence[object]) -> str | None:
    texts = (stripped(str(part)) for part in parts if part is not None)
    return ", ".join(dict.fromkeys(text for text in texts if text)) or None


def _nulls(array: pa.DictionaryArray) -> list[int]:
    """Return a mask of rows without a value."""
    indices = array.indices
    return np.flatnonzero(indices.is_null().to_numpy(zero_copy_only=False)).tolist() if indices.null_count else []


def _lengths(array: pa.Array) -> np.ndarray:
    """Return the number of entries of each list, int64 [n], or -1 for null."""
    lengths = pc.list_value_length(column_types.plain(array)).fill_null(-1)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64)


def _uneven(batch: pa.RecordBatch, listed: Sequence[str], track: str) -> dict[int, str]:
    """Return messages by row for missing track lists and lists with different lengths."""
    lengths = {name: _lengths(batch.column(name)) for name in listed}
    found: dict[int, str] = {}
    for name in listed:
        for row in np.flatnonzero(lengths[name] != lengths[track]).tolist():
            found[row] = (
                f"{name!r} has {max(lengths[name][row], 0)} entries, {track!r} has {max(lengths[track][row], 0)}"
            )
    return found | {row: f"{track!r} must be a list of tracks" for row in np.flatnonzero(lengths[track] < 0).tolist()}


def _times(
    batch: pa.RecordBatch, name: str | None, faults: dict[int, str], *, required: bool = True
) -> np.ndarray | None:
    """Return the times in a column, int64 [n]; `required` reports missing times."""
    if name is None:
        return None
    found, bad = column_types.times(batch.column(name))
    for row in np.flatnonzero(bad | (required & (found == NO_TIME))).tolist():
        faults.setdefault(row, f"time {_shown(batch.column(name), row)} {TIME_RULE}")
    return found


def _shown(column: pa.Array, row: int) -> str:
    """Return a value for a message. Python has no dates after the year 9999."""
    try:
        return shortened(column[row].as_py())
    except (OverflowError, ValueError):
        return f"after 9999 or before 1 ({column.type})"


def _positions(batch: pa.RecordBatch, name: str | None, faults: dict[int, str]) -> np.ndarray | None:
    if name is None:
        return None
    found = column_types.numbers(batch.column(name))
    for row in np.flatnonzero(~(np.abs(found) <= LARGEST_POSITION)).tolist():
        faults.setdefault(row, f"position {_shown(batch.column(name), row)} {POSITION_RULE}")
    return found

"""Counts that show whether a column of a placement table describes the track or labels the playlist.

A column of tracks has one value per track. A column that labels the playlist has one value per playlist, and a track
has another value in another playlist. As a field of the track it would reveal the playlist of a hidden track:
`toolkit.ingest.label_leaks` judges the counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from toolkit.catalogue.readers.tables.value_hashes import mixed, value_hashes

KEPT = 1 << 20
"""Rows that are kept, with 16 bytes and 4 per column each. Of longer tables a sample of the playlists is counted."""

BUFFERED = 512
"""Rows of a text file that are hashed at once."""

Cells = Sequence[str | None]


@dataclass(frozen=True)
class LabelCounts:
    """Counts of one column. Rows without a value are ignored.

    - options: options that make the column content of a track, such as `fields.genres`.
    - tracks: tracks with values in several playlists. varying: those of them with several different values.
    - following: tracks with different values in playlists in which the column is constant.
    - playlists: playlists with at least two different tracks with a value. constant: those with a single value.
    - chance: number of playlists that would be constant if values were drawn by their shares.
    - sampled: whether these are counts of a sample of the playlists.
    """

    column: str
    options: tuple[str, ...]
    tracks: int
    varying: int
    following: int
    playlists: int
    constant: int
    chance: float
    sampled: bool = False


class LabelCounter:
    """Counter of the values of content columns by playlist and track, with bounded memory.

    Equal rows are kept once. If more than `KEPT` rows remain, only playlists with small hashes are kept.

    - columns: by column, the options that name it.
    - places: index of each column in the cells of a row of a text file; by default 0, 1, …
    """

    def __init__(self, columns: Mapping[str, Sequence[str]], places: Sequence[int] | None = None) -> None:
        self.columns = {column: tuple(options) for column, options in columns.items()}
        self._places = range(len(columns)) if places is None else places
        self._waiting: list[tuple[str, str, Cells]] = []
        self._bits = 0  # playlists are kept if this number of leading bits of their hash are 0
        self._keys: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        self._rows = 0

    def add(self, playlists: np.ndarray, tracks: pa.Array, columns: Mapping[str, pa.Array]) -> None:
        """Add the rows of a batch.

        - playlists: `value_hashes` of the playlist ids. Rows without a playlist or track are ignored.
        - columns: values by column.
        """
        keep = None
        if self._bits:
            keep = np.flatnonzero(self._chosen(playlists))
            playlists, tracks = playlists[keep], tracks.take(pa.array(keep))
        values = (columns[name] if keep is None else columns[name].take(pa.array(keep)) for name in self.columns)
        hashes = np.stack([np.maximum(_low_bits(each := value_hashes(column)), each > 0) for column in values], axis=1)
        keys = np.stack([playlists, value_hashes(tracks)], axis=1)
        used = (keys > 0).all(axis=1) & (hashes > 0).any(axis=1)
        self._keys.append(keys[used])
        self._values.append(hashes[used])
        self._rows += int(used.sum())
        if self._rows > 2 * KEPT:
            self._shrink()

    def add_row(self, playlist: str, track: str, cells: Cells) -> None:
        """Add a row of a text file. Cells are texts or None."""
        self._waiting.append((playlist, track, cells))
        if len(self._waiting) == BUFFERED:
            self._add_waiting()

    def counts(self) -> tuple[LabelCounts, ...]:
        """Return the counts of each column, without columns that have no value."""
        self._add_waiting()
        if not self._rows:
            return ()
        self._shrink()
        lists, tracks = (np.unique(column, return_inverse=True)[1].astype(np.int32) for column in self._keys[0].T)
        order = np.lexsort((tracks, lists))
        lists, tracks, values = lists[order], tracks[order], self._values[0][order]
        by_track = np.argsort(tracks, kind="stable")
        return tuple(
            LabelCounts(name, options, *_counted(lists, tracks, values[:, place], by_track), sampled=self._bits > 0)
            for place, (name, options) in enumerate(self.columns.items())
            if values[:, place].any()
        )

    def _add_waiting(self) -> None:
        if not self._waiting:
            return
        playlists, tracks, rows = zip(*self._waiting, strict=True)
        texts = ([row[place] for row in rows] for place in self._places)
        columns = {name: pa.array(cells, pa.string()) for name, cells in zip(self.columns, texts, strict=True)}
        self._waiting = []
        self.add(value_hashes(pa.array(playlists, pa.string())), pa.array(tracks, pa.string()), columns)

    def _chosen(self, playlists: np.ndarray) -> np.ndarray:
        return playlists >> np.uint64(64 - self._bits) == 0 if self._bits else np.ones(len(playlists), bool)

    def _shrink(self) -> None:
        """Drop equal rows, and playlists until at most `KEPT` rows remain."""
        self._keys, self._values = [np.concatenate(self._keys)], [np.concatenate(self._values)]
        keys, values = self._keys.pop(), self._values.pop()
        _, first = np.unique(mixed(*keys.T, *values.T), return_index=True)
        keys, values = keys[first], values[first]
        while len(keys) > KEPT:
            self._bits += 1
            keep = self._chosen(keys[:, 0])
            keys, values = keys[keep], values[keep]
        self._keys, self._values, self._rows = [keys], [values], len(keys)


def _low_bits(hashes: np.ndarray) -> np.ndarray:
    return (hashes & np.uint64(0xFFFFFFFF)).astype(np.uint32)


def _counted(
    lists: np.ndarray, tracks: np.ndarray, values: np.ndarray, by_track: np.ndarray
) -> tuple[int, int, int, int, int, float]:
    """Return tracks, varying, following, playlists, constant and chance of one column.

    - lists, tracks: numbers of playlist and track by row, sorted by playlist and then by track.
    - values: uint32, 0 for a missing value.
    - by_track: order of the rows by track and then by playlist.
    """
    there = values > 0
    constant = np.zeros(len(values), bool)
    starts = _starts(lists[there])
    same = _same_value(values[there], starts)
    lengths = np.add.reduceat(_changes(lists[there], tracks[there]), starts, dtype=np.int64)
    counted, sizes = lengths > 1, np.diff(np.append(starts, there.sum()))
    constant[there] = np.repeat(same & counted, sizes)
    chance = _by_chance(values[there][np.repeat(counted, sizes)], lengths[counted])
    rows = by_track[there[by_track]]
    starts = _starts(tracks[rows])
    several = np.add.reduceat(_changes(tracks[rows], lists[rows]), starts, dtype=np.int64) > 1
    varying = several & ~_same_value(values[rows], starts)
    rows = rows[constant[rows]]
    following = ~_same_value(values[rows], _starts(tracks[rows]))
    sums = (several.sum(), varying.sum(), following.sum(), counted.sum(), (same & counted).sum())
    shared, differ, follow, n, same_value = map(int, sums)
    return shared, differ, follow, n, same_value, chance


def _changes(*columns: np.ndarray) -> np.ndarray:
    """Return which rows differ from the row before in any column, bool [n]. The first row does."""
    changes = np.ones(len(columns[0]), bool)
    changes[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return changes


def _starts(sorted_numbers: np.ndarray) -> np.ndarray:
    return np.flatnonzero(_changes(sorted_numbers))


def _same_value(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return which stretches of rows have a single value, bool [len(starts)]."""
    if not len(starts):
        return np.zeros(0, bool)
    return np.minimum.reduceat(values, starts) == np.maximum.reduceat(values, starts)


def _by_chance(values: np.ndarray, lengths: np.ndarray) -> float:
    """Return how many playlists of these lengths would have one value, if values were drawn by their shares."""
    if not len(values):
        return 0.0
    uses, kinds = np.unique(np.unique(values, return_counts=True)[1], return_counts=True)
    sizes, playlists = np.unique(lengths, return_counts=True)
    return float(
        sum(n * (kinds * (uses / len(values)) ** size).sum() for size, n in zip(sizes, playlists, strict=True))
    )

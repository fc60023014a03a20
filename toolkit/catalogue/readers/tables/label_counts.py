"""Counts that show whether a column of a placement table describes the track or labels the playlist.

A column of tracks has one value per track. A column that labels the playlist has one value per playlist, and the same
track has different values in different playlists. As a field of the track it would reveal the playlist of a hidden
track. `toolkit.ingest.label_leaks` judges the counts.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from scipy.special import bdtrc

from toolkit.catalogue.readers.tables.delimited import stripped
from toolkit.catalogue.readers.tables.value_hashes import mixed, playlist_hashes, text_hash, value_hashes

KEPT = 1 << 20
"""Rows that are kept, each of 16 bytes plus 4 per column. In longer tables, a sample of the playlists is counted."""

CONSTANT = 0.9
"""Smallest share of the playlists in which a label is constant. It is below 1, because a label may be wrong in some
playlists. The language or genre of tracks is usually constant in fewer playlists."""

NEARLY = 0.8
"""Share of a playlist's tracks with the same value if a label may be wrong for some tracks."""

BUFFERED = 4096
"""Rows of a text file that are hashed at once."""


@dataclass(frozen=True)
class LabelCounts:
    """Counts of one column. Rows without a value are ignored.

    - options: options that make the column content of a track, such as `fields.genres`.
    - tracks: tracks with values in several playlists. varying: how many of them have different values.
    - following: tracks with different values in constant playlists, each the value of that playlist.
    - playlists: playlists with at least two different tracks with a value. constant: how many of them have one value.
    - chance: bound on the expected number of constant playlists if values were drawn by their shares.
    - nearly: whether playlists are counted as constant in which at least a share `NEARLY` of the tracks has one value.
      They are if only they reach the share `CONSTANT` of the playlists.
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
    nearly: bool = False
    sampled: bool = False


class LabelCounter:
    """Counter of the values of content columns by playlist and track, with bounded memory.

    If there are more than `KEPT` rows, equal rows are kept once, and then only playlists with small hashes are kept.

    - columns: the options that name each column.
    - places: index of each column in the cells of a row of a text file; by default 0, 1, …
    """

    def __init__(self, columns: Mapping[str, Sequence[str]], places: Sequence[int] | None = None) -> None:
        self.columns = {column: tuple(options) for column, options in columns.items()}
        self._places = range(len(columns)) if places is None else places
        self._names: list[str] = []
        self._hashes = array("q")
        self._bits = 0  # playlists are kept if this number of leading bits of their hash are 0
        self._keys: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        self._rows = 0

    def add_batch(self, playlists: np.ndarray, tracks: pa.Array, columns: Mapping[str, pa.Array]) -> None:
        """Add the rows of a batch.

        - playlists: `playlist_hashes` of the rows. Rows without a playlist or track are ignored.
        - columns: values by column.
        """
        self._add(playlists, value_hashes(tracks), *(value_hashes(columns[name]) for name in self.columns))

    def add_row(self, playlist: str, track: str, cells: Sequence[str | None]) -> None:
        """Add a row of a text file, with stripped ids."""
        self._names.append(playlist)
        # the hashes are buffered, not the texts, so that the row can be freed
        self._hashes.append(hash(track))
        for place in self._places:
            self._hashes.append(text_hash(stripped(cells[place] or "")))
        if len(self._names) == BUFFERED:
            self._add_waiting()

    def counts(self) -> tuple[LabelCounts, ...]:
        """Return the counts of each column, without columns that have no value."""
        self._add_waiting()
        if not self._rows:
            return ()
        if self._rows > KEPT:
            self._shrink()
        keys = np.concatenate(self._keys)
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        lists, tracks, values = keys[order, 0], keys[order, 1], np.concatenate(self._values)[order]
        by_track = np.argsort(tracks, kind="stable")
        return tuple(
            replace(_counted(lists, tracks, values[:, place], by_track, name, options), sampled=self._bits > 0)
            for place, (name, options) in enumerate(self.columns.items())
            if values[:, place].any()
        )

    def _add_waiting(self) -> None:
        if not self._names:
            return
        hashes = np.array(self._hashes, np.int64).view(np.uint64).reshape(-1, 1 + len(self.columns))
        self._add(playlist_hashes(self._names), *hashes.T)
        self._names, self._hashes = [], array("q")

    def _add(self, playlists: np.ndarray, tracks: np.ndarray, *columns: np.ndarray) -> None:
        """Keep the lower half of the hashes of values, which are compared within a playlist or track."""
        if self._bits:
            keep = self._chosen(playlists)
            playlists, tracks, columns = playlists[keep], tracks[keep], tuple(column[keep] for column in columns)
        values = np.stack([np.maximum(column.astype(np.uint32), column > 0) for column in columns], axis=1)
        keys = np.stack([playlists, tracks], axis=1)
        used = (keys > 0).all(axis=1) & (values > 0).any(axis=1)
        self._keys.append(keys[used])
        self._values.append(values[used])
        self._rows += int(used.sum())
        if self._rows > 2 * KEPT:
            self._shrink()

    def _chosen(self, playlists: np.ndarray) -> np.ndarray:
        return playlists >> np.uint64(64 - self._bits) == 0 if self._bits else np.ones(len(playlists), bool)

    def _shrink(self) -> None:
        """Drop equal rows, and playlists until at most `KEPT` rows remain."""
        self._keys, self._values = [np.concatenate(self._keys)], [np.concatenate(self._values)]
        keys, values = self._keys.pop(), self._values.pop()
        _, first = np.unique(mixed(*keys.T, *values.T), return_index=True)
        first.sort()  # the order of the rows, which decides between several values of a track in a playlist
        keys, values = keys[first], values[first]
        while len(keys) > KEPT:
            self._bits += 1
            keep = self._chosen(keys[:, 0])
            keys, values = keys[keep], values[keep]
        self._keys, self._values, self._rows = [keys], [values], len(keys)


def _counted(
    lists: np.ndarray,
    tracks: np.ndarray,
    values: np.ndarray,
    by_track: np.ndarray,
    column: str,
    options: tuple[str, ...],
) -> LabelCounts:
    """Return the counts of one column.

    - lists, tracks: hashes of playlist and track by row, sorted by playlist and then by track.
    - values: uint32, 0 for a missing value.
    - by_track: order of the rows by track and then by playlist.
    """
    there = values > 0
    starts, distinct = _starts(lists[there]), _changes(lists[there], tracks[there])
    lengths = np.add.reduceat(distinct, starts, dtype=np.int64)
    most, times = _most_frequent(np.repeat(np.arange(len(starts)), lengths), values[there][distinct])
    counted, sizes = lengths > 1, np.diff(np.append(starts, there.sum()))
    nearly = bool((times == lengths)[counted].sum() < CONSTANT * counted.sum())
    nearly &= bool((times >= _enough(lengths, nearly=True))[counted].sum() >= CONSTANT * counted.sum())
    same = counted & (times >= _enough(lengths, nearly=nearly))
    follows = np.zeros(len(values), bool)
    follows[there] = np.repeat(same, sizes) & (values[there] == np.repeat(most, sizes))
    chance = _by_chance(values[there][distinct & np.repeat(counted, sizes)], lengths[counted], nearly=nearly)
    rows = by_track[there[by_track]]
    starts = _starts(tracks[rows])
    several = np.add.reduceat(_changes(tracks[rows], lists[rows]), starts, dtype=np.int64) > 1
    varying = several & ~_same_value(values[rows], starts)
    rows = rows[follows[rows]]
    following = ~_same_value(values[rows], _starts(tracks[rows]))
    return LabelCounts(
        column,
        options,
        tracks=int(several.sum()),
        varying=int(varying.sum()),
        following=int(following.sum()),
        playlists=int(counted.sum()),
        constant=int(same.sum()),
        chance=chance,
        nearly=nearly,
    )


def _enough(lengths: np.ndarray, *, nearly: bool) -> np.ndarray:
    """Return the number of tracks that must have the same value in playlists of these lengths, int64."""
    return np.ceil(NEARLY * lengths - 1e-9).astype(np.int64) if nearly else lengths


def _most_frequent(playlists: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the most frequent value of each playlist, and how many tracks have it.

    - playlists: int64 [n], ascending from 0 without gaps.
    """
    order = np.lexsort((values, playlists))
    runs = _starts(playlists[order], values[order])
    times = np.diff(np.append(runs, len(order)))
    of_list, of_value = playlists[order][runs], values[order][runs]
    last = np.flatnonzero(np.diff(np.append(of_list, -1)))
    best = np.lexsort((times, of_list))[last]
    return of_value[best], times[best]


def _changes(*columns: np.ndarray) -> np.ndarray:
    """Return which rows differ from the row before in any column, bool [n]. The first row does."""
    changes = np.ones(len(columns[0]), bool)
    changes[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return changes


def _starts(*sorted_columns: np.ndarray) -> np.ndarray:
    return np.flatnonzero(_changes(*sorted_columns))


def _same_value(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return which stretches of rows have a single value, bool [len(starts)]."""
    if not len(starts):
        return np.zeros(0, bool)
    return np.minimum.reduceat(values, starts) == np.maximum.reduceat(values, starts)


def _by_chance(values: np.ndarray, lengths: np.ndarray, *, nearly: bool) -> float:
    """Return a bound on how many playlists of these lengths are constant by chance.

    Values are drawn by their shares. The bound adds the binomial probabilities of all values.
    """
    if not len(values):
        return 0.0
    uses, kinds = np.unique(np.unique(values, return_counts=True)[1], return_counts=True)
    sizes, playlists = np.unique(lengths, return_counts=True)
    found = 0.0
    for size, enough, n in zip(sizes.tolist(), _enough(sizes, nearly=nearly).tolist(), playlists.tolist(), strict=True):
        found += n * min(1.0, float((kinds * bdtrc(enough - 1, size, uses / len(values))).sum()))
    return found

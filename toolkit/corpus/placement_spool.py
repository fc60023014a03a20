"""Sorting of playlist entries by playlist on disk, with memory for one block and a count per playlist.

Columns of rows are written to files in their order. If the rows of each playlist are adjacent, as in most data, they
are read back unchanged. Otherwise they are first distributed to stretches of playlists, and each stretch is sorted in
memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from toolkit.corpus.block_ranges import blocks_of

BLOCK = 1 << 19
"""Placements that are sorted in memory at once; a longer playlist is a block of its own."""
LIST, TRACK, POSITION, TIME = "list", "track", "position", "time"
Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Stretch:
    """Complete playlists from number `first`, with int64 lengths, int32 tracks in order, and int64 times or None."""

    first: int
    lengths: np.ndarray
    tracks: np.ndarray
    times: np.ndarray | None


class PlacementSpool:
    """Spool for rows of playlist and track numbers, which `stretches` returns sorted by playlist.

    Either all rows or no rows have a position, and likewise a time. Rows are sorted by position within a playlist.
    Rows with equal positions keep their order. The files are in `folder`.
    """

    def __init__(self, folder: Path) -> None:
        self._rows, self._distributed = _Files(folder, "rows"), _Files(folder, "distributed")
        self._counts = np.zeros(0, np.int64)
        self.adjacent = True  # whether the rows so far are playlist by playlist, in the order of their numbers
        self.ordered = True  # whether positions never decrease within a playlist so far, if rows are adjacent
        self._last: tuple[int, float] = (-1, -np.inf)

    def add(
        self, lists: np.ndarray, tracks: np.ndarray, positions: np.ndarray | None, times: np.ndarray | None
    ) -> None:
        """Add rows. Playlists are numbered from 0 in order of their first row."""
        if not len(lists):
            return
        self._check_order(lists, positions)
        counts = np.bincount(lists, minlength=len(self._counts))
        counts[: len(self._counts)] += self._counts
        self._counts = counts
        # playlists of adjacent rows follow from the counts
        columns = {TRACK: tracks, LIST: None if self.adjacent else lists, POSITION: positions, TIME: times}
        self._rows.write({name: np.ascontiguousarray(values) for name, values in columns.items() if values is not None})

    def stretches(self) -> Iterator[Stretch]:
        """Yield the playlists in number order in blocks, and remove the files at the end."""
        parts = list(blocks_of(self._counts.astype(np.float64), BLOCK))
        ends = np.concatenate([[0], np.cumsum(self._counts)])
        files = self._rows
        if not self.adjacent and len(parts) > 1:
            self._distribute(parts, ends)
            files = self._distributed
        for first, stop in parts:
            rows = files.read(int(ends[first]), int(ends[stop]))
            yield self._in_order(rows, first, self._counts[first:stop])
        self._rows.remove()
        self._distributed.remove()

    def _check_order(self, lists: np.ndarray, positions: np.ndarray | None) -> None:
        """Check whether the rows are still in order. If not, write the playlist numbers of all rows so far."""
        if not self.adjacent:
            return
        steps = np.diff(lists, prepend=np.int32(self._last[0]))
        if (steps < 0).any():
            self.adjacent = False
            for start, stop in blocks_of(self._counts.astype(np.float64), BLOCK):
                self._rows.write({LIST: np.repeat(np.arange(start, stop, dtype=np.int32), self._counts[start:stop])})
            return
        if positions is not None:
            self.ordered &= not ((np.diff(positions, prepend=self._last[1]) < 0) & (steps == 0)).any()
        self._last = int(lists[-1]), 0.0 if positions is None else float(positions[-1])

    def _in_order(self, rows: Columns, first: int, lengths: np.ndarray) -> Stretch:
        if self.adjacent and (self.ordered or POSITION not in rows):
            return Stretch(first, lengths, rows[TRACK], rows.get(TIME))
        if self.adjacent:
            rows[LIST] = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        else:
            rows[LIST] -= np.int32(first)
            order = counting_order(rows[LIST], len(lengths))
            rows = {name: values[order] for name, values in rows.items()}
        if POSITION in rows:
            rows = _by_position(rows, len(lengths))
        return Stretch(first, lengths, rows[TRACK], rows.get(TIME))

    def _distribute(self, parts: list[tuple[int, int]], ends: np.ndarray) -> None:
        """Write the rows to other files by part, keeping their order within a part."""
        starts = np.array([first for first, _ in parts])
        free = ends[starts]
        for start in range(0, int(ends[-1]), BLOCK):
            rows = self._rows.read(start, min(start + BLOCK, int(ends[-1])))
            owners = (np.searchsorted(starts, rows[LIST], side="right") - 1).astype(np.int32)
            order = counting_order(owners, len(parts))
            counts = np.bincount(owners, minlength=len(parts))
            self._distributed.spread({name: values[order] for name, values in rows.items()}, counts, free)
            free += counts


class _Files:
    """Columns of rows with one file per column."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._kinds: dict[str, np.dtype] = {}

    def write(self, columns: Columns) -> None:
        """Append rows to columns. Positions are stored as int32 as long as they are integers."""
        for name, values in columns.items():
            if name == POSITION:
                values = self._narrowed(values)
            self._kinds[name] = values.dtype
            with self._path(name).open("ab") as file:
                file.write(values.data)

    def spread(self, columns: Columns, counts: np.ndarray, places: np.ndarray) -> None:
        """Write rows that are sorted by part, each part at its offset."""
        bounds = np.concatenate([[0], np.cumsum(counts)])
        for name, values in columns.items():
            self._kinds[name] = values.dtype
            with self._path(name).open("r+b" if self._path(name).exists() else "w+b") as file:
                for part in np.flatnonzero(counts).tolist():
                    os.pwrite(
                        file.fileno(), values[bounds[part] : bounds[part + 1]].data, int(places[part]) * values.itemsize
                    )

    def read(self, start: int, stop: int) -> Columns:
        return {
            name: np.fromfile(self._path(name), kind, stop - start, offset=start * kind.itemsize)
            for name, kind in self._kinds.items()
        }

    def remove(self) -> None:
        for name in self._kinds:
            self._path(name).unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{self._name}-{name}"

    def _narrowed(self, values: np.ndarray) -> np.ndarray:
        known = self._kinds.get(POSITION)
        if known is None or known == np.int32:
            with np.errstate(invalid="ignore"):
                whole = values.astype(np.int32)
            if np.array_equal(whole, values):
                return whole
            if known is not None:  # all positions so far were whole
                path = self._path(POSITION)
                path.write_bytes(np.fromfile(path, np.int32).astype(np.float64).data)
        return np.asarray(values, np.float64)


def counting_order(keys: np.ndarray, n: int) -> np.ndarray:
    """Return the stable sort order of keys 0…n − 1, int32 [len(keys)].

    The keys are a sparse matrix with one entry a column, which SciPy converts from columns to rows by counting, in time
    linear in keys and n.
    """
    entries = (np.zeros(len(keys), np.int8), np.asarray(keys, np.int32), np.arange(len(keys) + 1, dtype=np.int32))
    return np.asarray(sp.csc_array(entries, shape=(n, len(keys))).tocsr().indices)


def _by_position(rows: Columns, n: int) -> Columns:
    """Return rows of n adjacent playlists sorted by position. Only unsorted playlists are sorted."""
    lists, positions = rows[LIST], rows[POSITION]
    back = (positions[1:] < positions[:-1]) & (lists[1:] == lists[:-1])
    if not back.any():
        return rows
    out = np.zeros(n, bool)
    out[lists[1:][back]] = True
    places = np.flatnonzero(out[lists])
    order = np.arange(len(lists))
    order[places] = places[np.lexsort((positions[places], lists[places]))]
    return {name: values[order] for name, values in rows.items()}

"""Near-duplicate playlists by MinHash and banding, in near-linear time.

Broder 1997, "On the resemblance and containment of documents"; Leskovec, Rajaraman and Ullman, "Mining of massive
datasets", section 3.4. With b bands of r hashes a pair of Jaccard similarity s is a candidate with probability
1 − (1 − s^r)^b: .995 at .5 and .9999 at .6 for 40 bands of 3. Candidates are compared exactly.
"""

from __future__ import annotations

import numpy as np

from toolkit.corpus.block_ranges import blocks_of
from toolkit.corpus.permutation import hashed
from toolkit.seeds import derived_seed

BANDS, ROWS = 40, 3
BLOCK = 2**20  # placements that are hashed or compared at once

Lists = tuple[np.ndarray, np.ndarray]  # flat item ids and offsets int64 [n + 1]


def near_duplicates(
    queries: Lists, others: Lists, n_items: int, *, threshold: float = 0.5, seed: int = 0
) -> np.ndarray:
    """Return which of `queries` have a Jaccard similarity above `threshold` with any of `others`, bool [n].

    Additional memory is 16 bytes per playlist, 8 bytes per track and a block of `BLOCK` entries.
    """
    found = np.zeros(len(queries[1]) - 1, bool)
    held = np.flatnonzero(np.diff(queries[1]))
    known = np.flatnonzero(np.diff(others[1]))
    for band in range(BANDS if len(known) else 0):
        # a hash of each item by row of the band: uint32 [V + 1]
        every = (hashed(np.arange(n_items + 1), derived_seed(seed, band, row)) for row in range(ROWS))
        tables = [(hashes >> np.uint64(32)).astype(np.uint32) for hashes in every]
        keys, open_ = _keys(others, known, tables), held[~found[held]]
        order = np.argsort(keys, kind="stable")
        mine, sorted_ = _keys(queries, open_, tables), keys[order]
        low, high = np.searchsorted(sorted_, mine, side="left"), np.searchsorted(sorted_, mine, side="right")
        _compare(found, queries, others, open_, known[order], low, high - low, n_items, threshold)
    return found


def _keys(lists: Lists, rows: np.ndarray, tables: list[np.ndarray]) -> np.ndarray:
    """Return one key per non-empty playlist from the minimum hashes in a band, uint64 [rows]."""
    items, offsets = lists
    keys = np.zeros(len(rows), np.uint64)
    for start, stop in blocks_of(np.diff(offsets)[rows], BLOCK):
        flat, starts = _gathered(items, offsets, rows[start:stop])
        for at, table in enumerate(tables):
            keys[start:stop] = hashed(keys[start:stop] ^ np.minimum.reduceat(table[flat], starts), at + 1)
    return keys


def _gathered(items: np.ndarray, offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return concatenated items of the playlists `rows`, and the start of each playlist."""
    lengths = (offsets[1:] - offsets[:-1])[rows]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    places = np.arange(int(lengths.sum())) + np.repeat(offsets[rows] - starts, lengths)
    return np.asarray(items[places]), starts


def _compare(
    found: np.ndarray,
    queries: Lists,
    others: Lists,
    open_: np.ndarray,
    ordered: np.ndarray,
    low: np.ndarray,
    counts: np.ndarray,
    n_items: int,
    threshold: float,
) -> None:
    """Mark in `found` the playlists above the exact threshold with a playlist in their bucket."""
    lengths = np.diff(others[1])[ordered]
    before = np.concatenate([[0], np.cumsum(lengths)])
    costs = before[low + counts] - before[low] + np.diff(queries[1])[open_]
    candidates = np.flatnonzero(counts)
    for start, stop in blocks_of(costs[candidates], BLOCK):
        for mine, theirs in _pairs(candidates[start:stop], low, counts, lengths):
            near = _jaccard(queries, others, open_[mine], ordered[theirs], n_items) > threshold
            found[open_[mine[near]]] = True


def _pairs(
    candidates: np.ndarray, low: np.ndarray, counts: np.ndarray, lengths: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of a playlist and an index in its bucket, in blocks of about `BLOCK` entries."""
    mine = np.repeat(candidates, counts[candidates])
    first = np.repeat(np.cumsum(counts[candidates]) - counts[candidates], counts[candidates])
    theirs = low[mine] + np.arange(len(mine)) - first
    return [(mine[start:stop], theirs[start:stop]) for start, stop in blocks_of(lengths[theirs], BLOCK)]


def _jaccard(queries: Lists, others: Lists, mine: np.ndarray, theirs: np.ndarray, n_items: int) -> np.ndarray:
    """Return the Jaccard similarity of playlists mine[p] and theirs[p], float64 [pairs]."""
    a, b = (_sets(lists, rows, n_items) for lists, rows in ((queries, mine), (others, theirs)))
    sizes = [
        np.bincount(keys // (n_items + 1), minlength=len(mine))
        for keys in (a, b, np.intersect1d(a, b, assume_unique=True))
    ]
    return np.asarray(sizes[2] / (sizes[0] + sizes[1] - sizes[2]))


def _sets(lists: Lists, rows: np.ndarray, n_items: int) -> np.ndarray:
    """Return index · (V + 1) + item for the distinct items of each playlist."""
    flat, _ = _gathered(*lists, rows)
    return np.unique(np.repeat(np.arange(len(rows)), np.diff(lists[1])[rows]) * np.int64(n_items + 1) + flat)

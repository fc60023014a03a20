"""Block of playlists to continue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from toolkit.constants import PAD


@dataclass(frozen=True)
class Queries:
    """Seeds of B playlists and, if known, titles and users.

    - seeds: int32 [sum of lengths], item ids in playlist order.
    - offsets: int64 [B + 1]; playlist b is seeds[offsets[b]:offsets[b + 1]].
    - rows: int64 [B], rows of the corpus, or None for playlists that are not in a corpus.
    - plays: float32, play counts of the seeds, or None if every seed counts once.
    """

    seeds: np.ndarray
    offsets: np.ndarray
    titles: Sequence[str | None] | None = None
    users: Sequence[str | None] | None = None
    rows: np.ndarray | None = None
    plays: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]], titles: Sequence[str | None] | None = None) -> Queries:
        """Return queries from lists of item ids."""
        lengths = [len(seeds) for seeds in lists]
        flat = [item for seeds in lists for item in seeds]
        return cls(np.array(flat, dtype=np.int32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), titles)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def part(self, start: int, stop: int) -> Queries:
        """Return a view of the queries start…stop − 1."""
        low, high = self.offsets[start], self.offsets[stop]
        return Queries(
            self.seeds[low:high],
            self.offsets[start : stop + 1] - low,
            self.titles[start:stop] if self.titles is not None else None,
            self.users[start:stop] if self.users is not None else None,
            self.rows[start:stop] if self.rows is not None else None,
            self.plays[low:high] if self.plays is not None else None,
        )

    def matrix(self, n_items: int) -> sp.csr_matrix:
        """Return the tracks of each query as a binary matrix, float32 [B, V + 1]."""
        matrix = replace(self, plays=None).plays_matrix(n_items)
        matrix.data[:] = 1.0
        return matrix

    def plays_matrix(self, n_items: int) -> sp.csr_matrix:
        """Return the plays or occurrences of each track by query, float32 [B, V + 1]."""
        counts = np.ones(len(self.seeds), np.float32) if self.plays is None else np.asarray(self.plays, np.float32)
        # a copy: summing duplicates sorts the indices in place, which would reorder the seeds themselves
        matrix = sp.csr_matrix((counts, self.seeds, self.offsets), (len(self), n_items + 1), copy=True)
        matrix.sum_duplicates()
        return matrix

    def last_of(self, known: np.ndarray) -> np.ndarray:
        """Return the last seed of each query that is in the mask `known`, bool [V + 1], as int64 [B], or 0."""
        last = np.zeros(len(self), np.int64)
        places = np.flatnonzero(known[self.seeds])
        # of several values for one row the last one stays
        last[np.searchsorted(self.offsets, places, side="right") - 1] = self.seeds[places]
        return last

    def last(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the last `length` seeds as left-aligned ids int64 [B, T], padded with 0, and lengths int64 [B]."""
        lengths = np.minimum(self.lengths, length)
        width = max(1, int(lengths.max(initial=0)))
        columns = np.arange(width)[None, :]
        inside = columns < lengths[:, None]
        index = np.where(inside, (self.offsets[1:] - lengths)[:, None] + columns, 0)
        ids = self.seeds[index] if len(self.seeds) else np.zeros_like(index)
        return np.where(inside, ids, PAD).astype(np.int64), lengths

"""What metrics of hits share: where a ranking holds hidden tracks, its first k ranks, and how many hits there could be."""

from __future__ import annotations

import numpy as np


def hits(ranked: np.ndarray, hidden: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Where a ranking holds hidden tracks: bool [B, k_max].

    ranked: int [B, k_max], best first, 0 for nothing. hidden, offsets: the
    tracks of playlist b are hidden[offsets[b]:offsets[b + 1]].
    """
    if not len(hidden) or not ranked.size:
        return np.zeros(ranked.shape, dtype=bool)
    width = np.int64(max(int(ranked.max()), int(hidden.max())) + 1)
    owners = np.repeat(np.arange(len(ranked), dtype=np.int64), np.diff(offsets))
    wanted = np.sort(owners * width + hidden)
    keys = np.arange(len(ranked), dtype=np.int64)[:, None] * width + ranked
    place = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    return np.asarray((wanted[place] == keys) & (ranked > 0))


def first(hits: np.ndarray, k: int) -> np.ndarray:
    """The first k ranks. Raises `ValueError` where the ranking is shorter."""
    if not 1 <= k <= hits.shape[1]:
        raise ValueError(f"k={k} must lie in 1…{hits.shape[1]}, the length of the ranking")
    return hits[:, :k]


def some(n_hidden: np.ndarray) -> np.ndarray:
    """|I| as float64, NaN where nothing is hidden."""
    return np.where(n_hidden > 0, n_hidden, np.nan)


def possible(n_hidden: np.ndarray, k: int) -> np.ndarray:
    """min(k, |I|) as float64, NaN where nothing is hidden."""
    return np.where(n_hidden > 0, np.minimum(n_hidden, k), np.nan)

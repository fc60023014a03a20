"""Helpers for hit-based metrics: hit ranks, cutoffs and the number of possible hits."""

from __future__ import annotations

import numpy as np


def hits(ranked: np.ndarray, hidden: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return which ranks contain a hidden track, bool [B, k_max].

    - ranked: int [B, k_max], item ids, best first, padded with 0.
    - hidden, offsets: the hidden tracks of playlist b are hidden[offsets[b]:offsets[b + 1]].
    """
    if not len(hidden) or not ranked.size:
        return np.zeros(ranked.shape, dtype=bool)
    width = np.int64(max(int(ranked.max()), int(hidden.max())) + 1)
    owners = np.repeat(np.arange(len(ranked), dtype=np.int64), np.diff(offsets))
    targets = np.sort(owners * width + hidden)
    keys = np.arange(len(ranked), dtype=np.int64)[:, None] * width + ranked
    nearest = np.minimum(np.searchsorted(targets, keys), len(targets) - 1)
    return np.asarray((targets[nearest] == keys) & (ranked > 0))


def first(hits: np.ndarray, k: int) -> np.ndarray:
    """Return the first k ranks. Raises `ValueError` if the ranking is shorter."""
    if not 1 <= k <= hits.shape[1]:
        raise ValueError(f"k={k} must be in 1…{hits.shape[1]}, the length of the ranking: reduce k or rank more tracks")
    return hits[:, :k]


def nan_if_none(n_hidden: np.ndarray) -> np.ndarray:
    """Return |I| as float64, NaN if nothing is hidden."""
    return np.where(n_hidden > 0, n_hidden, np.nan)


def possible(n_hidden: np.ndarray, k: int) -> np.ndarray:
    """Return min(k, |I|) as float64, NaN if nothing is hidden."""
    return np.where(n_hidden > 0, np.minimum(n_hidden, k), np.nan)

"""Ranking metrics over hidden sets: pure functions over arrays, one value per playlist.

`hits` is bool [B, k_max]: whether the track at each rank is one of the hidden
ones. `n_hidden` is int [B]: |I|, how many there are to find. A playlist with
nothing hidden has no value: NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Metric = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""metric(hits, n_hidden, k) -> float64 [B]."""


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


def recall_at(hits: np.ndarray, n_hidden: np.ndarray, k: int) -> np.ndarray:
    """Recall@k = |top k ∩ I| / min(k, |I|): 1 is reachable at every k. float64 [B].

    Source: the evaluation in DESIGN.md; Volkovs et al. 2018 and Liang et al. 2018,
    "Variational autoencoders for collaborative filtering", section 4.2.
    """
    found = first(hits, k).sum(axis=1)
    return found / _possible(n_hidden, k)


def ndcg_at(hits: np.ndarray, n_hidden: np.ndarray, k: int) -> np.ndarray:
    """NDCG@k = DCG@k / IDCG@k with DCG@k = Σ_r (2^rel_r − 1) / log2(r + 1), ranks from 1. float64 [B].

    Relevance is 1 for hidden tracks and 0 for others; the ideal ranking begins with
    min(k, |I|) hidden tracks. Source: Järvelin and Kekäläinen 2002; Burges et al. 2005
    for the exponential gain.
    """
    discounts = 1.0 / np.log2(np.arange(1, k + 1) + 1.0)
    ideal = np.concatenate([[np.nan], np.cumsum(discounts)])
    gains = np.exp2(first(hits, k).astype(np.float64)) - 1.0
    return np.asarray(gains @ discounts / ideal[np.minimum(n_hidden, k)])


def average_precision_at(hits: np.ndarray, n_hidden: np.ndarray, k: int) -> np.ndarray:
    """AP@k = Σ_{r ≤ k} rel_r · precision@r / min(k, |I|); its mean over playlists is MAP@k. float64 [B].

    Source: McFee et al. 2012, "The Million Song Dataset Challenge", section 3.1 (k = 500).
    """
    found = first(hits, k)
    precision = np.cumsum(found, axis=1) / np.arange(1, k + 1)
    return np.asarray((precision * found).sum(axis=1) / _possible(n_hidden, k))


METRICS: dict[str, Metric] = {"recall": recall_at, "ndcg": ndcg_at, "map": average_precision_at}
"""By the name that recipes and tables use."""


def first(hits: np.ndarray, k: int) -> np.ndarray:
    """The first k ranks. Raises `ValueError` where the ranking is shorter."""
    if not 1 <= k <= hits.shape[1]:
        raise ValueError(f"k={k} must lie in 1…{hits.shape[1]}, the length of the ranking")
    return hits[:, :k]


def _possible(n_hidden: np.ndarray, k: int) -> np.ndarray:
    """min(k, |I|) as float64, NaN where nothing is hidden."""
    return np.where(n_hidden > 0, np.minimum(n_hidden, k), np.nan)

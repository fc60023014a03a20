"""Mean average precision, based on the precision at each hit."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.hits import first, possible


def average_precision_at(hits: np.ndarray, n_hidden: np.ndarray, k: int) -> np.ndarray:
    """Return AP@k = Σ_{r ≤ k} rel_r · precision@r / min(k, |I|), float64 [B]; its mean over playlists is MAP@k.

    hits: bool [B, k_max], whether the track at each rank is hidden. n_hidden: int [B], |I|.
    Source: McFee et al. 2012, "The Million Song Dataset Challenge", section 3.1 (k = 500).
    """
    top = first(hits, k)
    precision = np.cumsum(top, axis=1) / np.arange(1, k + 1)
    return np.asarray((precision * top).sum(axis=1) / possible(n_hidden, k))


class MeanAveragePrecision(Metric):
    """Average precision of the first k tracks, whose mean over playlists is MAP.

    The sum of the precision at each hit is divided by the possible number of hits, min(k, hidden).
    """

    name = "map"
    label = "MAP"
    value_range = (0.0, 1.0)

    def values(self, block: Block, k: int) -> np.ndarray:
        return average_precision_at(block.hits, block.n_hidden, k)

"""Recall among the first k, relative to the possible number of hits."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.hits import first, possible


def recall_at(hits: np.ndarray, n_hidden: np.ndarray, k: int) -> np.ndarray:
    """Return Recall@k = |top k ∩ I| / min(k, |I|), float64 [B], which can reach 1 at every k.

    hits: bool [B, k_max], whether the track at each rank is hidden. n_hidden: int [B], |I|.
    Source: the evaluation in DESIGN.md; Volkovs et al. 2018 and Liang et al. 2018,
    "Variational autoencoders for collaborative filtering", section 4.2.
    """
    return np.asarray(first(hits, k).sum(axis=1) / possible(n_hidden, k))


class Recall(Metric):
    """Share of the hidden tracks that are among the first k.

    Hits are divided by the possible number of hits, min(k, hidden).
    """

    name = "recall"
    label = "Recall"
    value_range = (0.0, 1.0)

    def values(self, block: Block, k: int) -> np.ndarray:
        return recall_at(block.hits, block.n_hidden, k)

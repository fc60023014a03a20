"""Normalised discounted cumulative gain, in which later hits count less."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.hits import first


def ndcg_at(hits: np.ndarray, n_hidden: np.ndarray, k: int) -> np.ndarray:
    """Return NDCG@k = DCG@k / IDCG@k, float64 [B], with DCG@k = Σ_r (2^rel_r − 1) / log2(r + 1), ranks from 1.

    hits: bool [B, k_max], whether the track at each rank is hidden. n_hidden: int [B], |I|.
    Relevance is 1 for hidden tracks and 0 for others; the ideal ranking begins with
    min(k, |I|) hidden tracks. Source: Järvelin and Kekäläinen 2002; Burges et al. 2005
    for the exponential gain.
    """
    discounts = 1.0 / np.log2(np.arange(1, k + 1) + 1.0)
    ideal = np.concatenate([[np.nan], np.cumsum(discounts)])
    gains = np.exp2(first(hits, k).astype(np.float64)) - 1.0
    return np.asarray(gains @ discounts / ideal[np.minimum(n_hidden, k)])


class NDCG(Metric):
    """Normalised discounted cumulative gain (NDCG): hits among the first k, where early hits count more.

    The discounted sum of the hits is divided by the discounted sum of the best possible ranking.
    """

    name = "ndcg"
    label = "NDCG"
    value_range = (0.0, 1.0)

    def values(self, block: Block, k: int) -> np.ndarray:
        return ndcg_at(block.hits, block.n_hidden, k)

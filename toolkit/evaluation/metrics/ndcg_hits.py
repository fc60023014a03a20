"""NDCG whose ideal ranking has only the hits of the ranking itself, as in codes for the RecSys Challenge 2018."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.hits import first


def ndcg_hits(hits: np.ndarray, n_hidden: np.ndarray, k: int) -> np.ndarray:
    """DCG@k over the DCG of the same hits at the top: 1 for one hit at rank 1, 0 without a hit. float64 [B].

    hits: bool [B, k_max], whether the track at each rank is hidden. n_hidden: int [B], |I|.
    """
    return of_hits(first(hits, k), n_hidden, 1.0 / np.log2(np.arange(1, k + 1) + 1.0))


def of_hits(found: np.ndarray, n_hidden: np.ndarray, discounts: np.ndarray) -> np.ndarray:
    """Discounted hits over the most that as many hits can have: float64 [B].

    found: bool [B, k]; discounts: float64 [k].
    """
    ideal = np.concatenate([[1.0], np.cumsum(discounts)])[found.sum(axis=1)]
    return np.where(n_hidden > 0, found @ discounts / ideal, np.nan)


class NDCGOfHits(Metric):
    """NDCG relative to the best order of the hits that were found."""

    name = "ndcg_hits"
    label = "NDCG (ideal of hits)"
    value_range = (0.0, 1.0)

    def values(self, block: Block, k: int) -> np.ndarray:
        return ndcg_hits(block.hits, block.n_hidden, k)

"""NDCG whose ideal ranking contains only the ranking's own hits, as in public code for the RecSys Challenge 2018."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.hits import first


class NDCGOfHits(Metric):
    """NDCG relative to the best order of the ranking's own hits."""

    name = "ndcg_hits"
    label = "NDCG (ideal of hits)"
    value_range = (0.0, 1.0)

    def values(self, block: Block, k: int) -> np.ndarray:
        """Return DCG@k divided by the DCG of the same hits at the top, float64 [B], 0 without hits."""
        found, discounts = first(block.hits, k), self.discounts(np.arange(1, k + 1))
        ideal = np.concatenate([[1.0], np.cumsum(discounts)])[found.sum(axis=1)]
        return np.where(block.n_hidden > 0, found @ discounts / ideal, np.nan)

    def discounts(self, ranks: np.ndarray) -> np.ndarray:
        """Return the gain of a hit at each rank (int [k], from 1), float64 [k]."""
        return np.asarray(1.0 / np.log2(ranks + 1.0))

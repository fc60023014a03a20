"""Metric `reciprocal_rank` (Voorhees 1999)."""

import numpy as np

from segue.plugin import Block, Metric


class ReciprocalRank(Metric):
    """One over the rank of the first hidden track among the first k; 0 where none is."""

    name = "reciprocal_rank"
    label = "MRR"
    value_range = (0.0, 1.0)
    decimals = 3

    def values(self, block: Block, k: int) -> np.ndarray:
        hits = block.hits[:, :k]
        ranks = hits.argmax(axis=1) + 1
        return np.where(block.n_hidden > 0, hits.any(axis=1) / ranks, np.nan)

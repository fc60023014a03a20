"""R-precision: share of hits among the first R tracks, where R is the number of hidden tracks."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.hits import nan_if_none


class RPrecision(Metric):
    """Share of hidden tracks among the first R (R-precision), where R is the number of hidden tracks."""

    name = "rprec"
    label = "R-precision"
    value_range = (0.0, 1.0)
    cutoff = "r"

    def values(self, block: Block, k: int) -> np.ndarray:
        """Return hits among the first R = |I| divided by R, float64 [B]."""
        return np.asarray((block.hits & block.first_r).sum(axis=1) / nan_if_none(block.n_hidden))

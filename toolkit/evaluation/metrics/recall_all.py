"""Recall over all hidden tracks, as defined in RecBole and torchmetrics."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.hits import first, nan_if_none


class RecallOfAll(Metric):
    """Share of all hidden tracks that are among the first k, as defined in RecBole.

    Hits are divided by the number of hidden tracks, even if this number exceeds k.
    """

    name = "recall_all"
    label = "Recall of all"
    value_range = (0.0, 1.0)

    def values(self, block: Block, k: int) -> np.ndarray:
        """Return |top k ∩ I| / |I|, float64 [B], which stays below 1 if more than k tracks are hidden."""
        return np.asarray(first(block.hits, k).sum(axis=1) / nan_if_none(block.n_hidden))

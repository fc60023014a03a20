"""Catalogue coverage: the share of the catalogue that is recommended to at least one playlist.

Source: Ge et al. 2010, "Beyond accuracy".
"""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, SystemMetric


class Coverage(SystemMetric):
    """Share of the candidate tracks that are among the first k for at least one playlist."""

    name = "coverage"
    label = "Coverage"
    value_range = (0.0, 1.0)
    higher_is_better = None

    def tally(self, block: Block, k: int) -> np.ndarray:
        """Return how often each item is among the first k, int64 [V + 1]."""
        return np.bincount(block.ranked[:, :k].ravel(), minlength=len(block.information))

    def total(self, tally: np.ndarray, n_candidates: int) -> float:
        return float((tally[1:] > 0).sum() / n_candidates)

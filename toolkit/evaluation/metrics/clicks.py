"""Clicks of the RecSys Challenge 2018: number of page turns until the first hit.

Source: Chen et al. 2018, "RecSys Challenge 2018: automatic music playlist continuation".
"""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric

PAGE = 10
"""Number of tracks on a page."""


class Clicks(Metric):
    """Number of page turns (ten tracks per page) before the first hit."""

    name = "clicks"
    label = "Clicks"
    value_range = (0.0, np.inf)
    higher_is_better = False
    decimals = 2

    def values(self, block: Block, k: int) -> np.ndarray:
        """Return ⌊(rank of the first hit − 1) / 10⌋, or ⌊k / 10⌋ + 1 without a hit (51 for the challenge's k = 500)."""
        top = block.hits[:, :k]
        pages = np.where(top.any(axis=1), top.argmax(axis=1) // PAGE, k // PAGE + 1)
        return np.where(block.n_hidden > 0, pages, np.nan)

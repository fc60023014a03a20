"""Blocks of work with bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def blocks_of(costs: np.ndarray, budget: float) -> Iterator[tuple[int, int]]:
    """Yield consecutive ranges with a total cost of at most `budget` and at least one element each."""
    total = np.concatenate([[0.0], np.cumsum(costs, dtype=np.float64)])
    start = 0
    while start < len(costs):
        stop = max(start + 1, int(np.searchsorted(total, total[start] + budget, side="right")) - 1)
        yield start, stop
        start = stop

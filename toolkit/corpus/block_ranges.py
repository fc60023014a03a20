"""Blocks of work whose memory is bounded by a setting, not by the data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def blocks_of(costs: np.ndarray, budget: float) -> Iterator[tuple[int, int]]:
    """Consecutive ranges start…stop of summed cost at most `budget`, each of at least one element."""
    total = np.concatenate([[0.0], np.cumsum(costs, dtype=np.float64)])
    start = 0
    while start < len(costs):
        stop = max(start + 1, int(np.searchsorted(total, total[start] + budget, side="right")) - 1)
        yield start, stop
        start = stop

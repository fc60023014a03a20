"""Novelty, based on how rarely the recommended tracks were played in training.

Source: Zhou et al. 2010, "Solving the apparent diversity-accuracy dilemma of recommender systems".
"""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric


def information(train_counts: np.ndarray) -> np.ndarray:
    """Return −log2((c_i + 1) / (Σ c + V)) for each item's training count c_i, float64 [V + 1].

    train_counts: int64 [V + 1].
    """
    counts = np.asarray(train_counts, np.float64)
    return np.asarray(np.log2(counts[1:].sum() + len(counts) - 1) - np.log2(counts + 1))


class Novelty(Metric):
    """Mean self-information of the first k tracks in bits, which is high for rarely played tracks.

    The probability of a track is its smoothed share of the training entries.
    """

    name = "novelty"
    label = "Novelty"
    value_range = (0.0, np.inf)
    higher_is_better = None
    decimals = 2
    reads = "list"

    def values(self, block: Block, k: int) -> np.ndarray:
        """Return the mean of `information` over the first k tracks, 0 for an empty ranking."""
        top = block.ranked[:, :k]
        bits = np.where(top > 0, block.information[top], 0.0).sum(axis=1)
        return np.where(block.n_hidden > 0, bits / np.maximum(1, (top > 0).sum(axis=1)), np.nan)

"""Novelty: how rarely the recommended tracks were played in training."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric


def novelty(block: Block, k: int) -> np.ndarray:
    """Mean self-information of the first k, in bits: −log2 of a track's share of the training placements, each counted
    once more.

    Zhou et al. 2010, "Solving the apparent diversity-accuracy dilemma of recommender systems". 0 for an empty list.
    """
    top = block.ranked[:, :k]
    bits = np.where(top > 0, block.information[top], 0.0).sum(axis=1)
    return np.where(block.n_hidden > 0, bits / np.maximum(1, (top > 0).sum(axis=1)), np.nan)


def information(train_counts: np.ndarray) -> np.ndarray:
    """−log2((c_i + 1) / (Σ c + V)) of each item: float64 [V + 1]. train_counts: int64 [V + 1]."""
    counts = np.asarray(train_counts, np.float64)
    return np.asarray(np.log2(counts[1:].sum() + len(counts) - 1) - np.log2(counts + 1))


class Novelty(Metric):
    """How rarely the first k tracks were played in training.

    The mean self-information of the tracks, in bits.
    """

    name = "novelty"
    label = "Novelty"
    value_range = (0.0, np.inf)
    higher_is_better = None
    decimals = 2
    reads = "list"

    def values(self, block: Block, k: int) -> np.ndarray:
        return novelty(block, k)

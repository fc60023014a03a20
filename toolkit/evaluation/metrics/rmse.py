"""Root mean squared error of scores as estimates of feedback: 1 for hidden tracks, 0 for others.

Source: Wang and Wang, "Improving content-based and hybrid music recommendation using deep learning", 2014, section 5:
binary feedback, as many tracks without plays drawn as there are with. Nothing is drawn here: hidden and other
candidates have half the weight each.
"""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.auc import mean_per_row


def squared_errors(scores: np.ndarray, columns: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(1 − s)² of each hidden track, float64 [h], and the mean of s² over the other candidates of a row, float64 [B].



    scores, columns, offsets: as in `toolkit.evaluation.metrics.auc.hidden_auc`. A track that cannot be ranked (-inf) is
    estimated as 0. A row in which all candidates are hidden has NaN.
    """
    owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    own = _estimates(scores[owners, columns])
    total, count = np.empty(len(scores)), np.empty(len(scores))
    for row, values in enumerate(scores):
        total[row] = np.square(_estimates(values)).sum()
        count[row] = (~np.isnan(values)).sum()
    total -= np.bincount(owners, np.square(own), minlength=len(scores))
    count -= np.diff(offsets)
    return np.square(1 - own), np.where(count > 0, np.maximum(total, 0) / np.maximum(count, 1), np.nan)


def rmse_per_row(hidden: np.ndarray, owners: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Root of the mean of both halves, float64 [B]; NaN for a row without a hidden track.

    hidden: squared errors [h] of rows `owners`.
    """
    return np.asarray(np.sqrt((mean_per_row(hidden, owners, len(others)) + others) / 2))


def _estimates(scores: np.ndarray) -> np.ndarray:
    """Scores as float64; those that are not finite are 0."""
    return np.where(np.isfinite(scores), scores, 0).astype(np.float64)


class RMSE(Metric):
    """Root mean squared error of scores as predictions of feedback: 1 for hidden tracks, 0 for others.

    Hidden tracks and other candidates have half the weight each.
    """

    name = "rmse"
    label = "RMSE"
    value_range = (0.0, np.inf)
    higher_is_better = False
    cutoff = "none"
    reads = "scores"

    def values(self, block: Block, k: int) -> np.ndarray:
        scores = block.all_scores
        assert scores is not None, "rmse reads the scores of all candidates"
        errors, others = scores.once(squared_errors)
        return rmse_per_row(errors[scores.chosen], scores.owners, others)

"""Root mean squared error of scores as estimates of binary feedback (1 for hidden tracks, otherwise 0).

Source: Wang and Wang, "Improving content-based and hybrid music recommendation using deep learning", 2014, section 5.
The paper samples as many tracks without plays as with plays. This implementation does not sample. Instead, hidden
tracks and other candidates have half of the weight each.
"""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.auc import mean_per_row


def squared_errors(scores: np.ndarray, columns: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (1 − s)² of each hidden track, float64 [h], and the mean s² over a row's other candidates, float64 [B].



    scores, columns, offsets: as in `toolkit.evaluation.metrics.auc.hidden_auc`. Tracks that cannot be ranked (-inf)
    have the estimate 0. The mean is NaN if all candidates of a row are hidden.
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
    """Return the root of the mean of both halves, float64 [B], NaN for a row without hidden tracks.

    hidden: squared errors [h] of rows `owners`.
    """
    return np.asarray(np.sqrt((mean_per_row(hidden, owners, len(others)) + others) / 2))


def _estimates(scores: np.ndarray) -> np.ndarray:
    """Return scores as float64, with 0 for values that are not finite."""
    return np.where(np.isfinite(scores), scores, 0).astype(np.float64)


class RMSE(Metric):
    """Root mean squared error of scores as predictions of feedback (1 for hidden tracks, otherwise 0).

    Hidden tracks and other candidates have half of the weight each.
    """

    name = "rmse"
    label = "RMSE"
    value_range = (0.0, np.inf)
    higher_is_better = False
    cutoff = "none"
    reads = "scores"

    def values(self, block: Block, k: int) -> np.ndarray:
        scores = block.all_scores
        assert scores is not None, "rmse requires the scores of all candidates"
        errors, others = scores.once(squared_errors)
        return rmse_per_row(errors[scores.chosen], scores.owners, others)

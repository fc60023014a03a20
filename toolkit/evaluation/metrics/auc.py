"""Area under the ROC curve over all candidates.

The AUC is the probability that a hidden track scores above a track that is not hidden, where ties count half (Mann and
Whitney 1947; Hanley and McNeil 1982). It is computed exactly by comparing all tracks with the few hidden tracks,
without sorting.
"""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.topk import row_counts


def hidden_auc(scores: np.ndarray, columns: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the share of non-hidden tracks that score below each hidden track, float64 [h].

    - scores: float32 [B, C] of all candidates; -inf for tracks that cannot be ranked (all tied), NaN for tracks that
      are not candidates in the row, such as seeds.
    - columns: int [h], columns of the hidden tracks; row b has columns[offsets[b]:offsets[b + 1]].

    The value is NaN if all candidates are hidden. The AUC of a row is the mean over its hidden tracks.
    """
    sizes = np.diff(offsets)
    owners = np.repeat(np.arange(len(sizes)), sizes)
    own = scores[owners, columns]
    lower, level = _among_all(scores, own, owners, offsets)
    lower_hidden, level_hidden = _among_hidden(own, owners, offsets)
    others = (scores.shape[1] - row_counts(np.isnan(scores)) - sizes)[owners]
    won = lower - lower_hidden + 0.5 * (level - level_hidden)
    return np.where(others > 0, won / np.maximum(others, 1), np.nan)


def mean_per_row(values: np.ndarray, owners: np.ndarray, n: int) -> np.ndarray:
    """Return the means of values [h] by rows `owners`, float64 [n], NaN for a row without values."""
    counts = np.bincount(owners, minlength=n)
    return np.where(counts > 0, np.bincount(owners, values, minlength=n) / np.maximum(counts, 1), np.nan)


def _among_all(
    scores: np.ndarray, own: np.ndarray, owners: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of candidates below and tied with each hidden track (itself included), int64 [h] each."""
    sizes = np.diff(offsets)
    order = np.argsort(-sizes, kind="stable")  # rows with an nth hidden track come first, for every n
    ordered = scores if np.array_equal(order, np.arange(len(order))) else scores[order]
    lower, level = np.zeros(len(own), np.int64), np.zeros(len(own), np.int64)
    for nth in range(int(sizes.max(initial=0))):
        rows = int((sizes > nth).sum())
        tracks = offsets[order[:rows]] + nth
        bar = own[tracks][:, None]
        lower[tracks] = row_counts(ordered[:rows] < bar)
        level[tracks] = row_counts(ordered[:rows] <= bar) - lower[tracks]
    return lower, level


def _among_hidden(own: np.ndarray, owners: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same numbers among the hidden tracks of the row."""
    order = np.lexsort((own, owners))
    scores, rows = own[order], owners[order]
    begins = np.ones(len(own), bool)
    begins[1:] = (scores[1:] != scores[:-1]) | (rows[1:] != rows[:-1])
    run = np.cumsum(begins) - 1
    starts = np.flatnonzero(begins)
    lower, level = np.zeros(len(own), np.int64), np.zeros(len(own), np.int64)
    lower[order] = starts[run] - offsets[rows]
    level[order] = np.diff(np.append(starts, len(own)))[run]
    return lower, level


class AUC(Metric):
    """Area under the ROC curve: how often a hidden track scores above a track that is not hidden.

    The value is the share of other candidates with lower scores, averaged over the playlist's hidden tracks.
    """

    name = "auc"
    label = "AUC"
    value_range = (0.0, 1.0)
    cutoff = "none"
    reads = "scores"

    def values(self, block: Block, k: int) -> np.ndarray:
        scores = block.all_scores
        assert scores is not None, "auc requires the scores of all candidates"
        return mean_per_row(scores.once(hidden_auc)[scores.chosen], scores.owners, len(block.ranked))

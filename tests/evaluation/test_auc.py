"""Tests of AUC and average precision against hand-computed values and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from toolkit.evaluation.metrics import average_precision_at
from toolkit.evaluation.metrics.auc import hidden_auc, mean_per_row


def test_auc_matches_hand_computed_values() -> None:
    scores = np.array([[5, 3, 3, 1], [1, 2, 3, 4], [0, -np.inf, -np.inf, 7]], np.float32)
    # hidden of row 0: the second, level with one and above one of three others
    # row 1: the two best · row 2: one of the unranked two
    found = hidden_auc(scores, np.array([1, 2, 3, 1]), np.array([0, 1, 3, 4]))
    assert found.tolist() == pytest.approx([1.5 / 3, 1.0, 1.0, 0.5 / 3])
    assert mean_per_row(found, np.array([0, 1, 1, 2]), 4).tolist() == pytest.approx(
        [0.5, 1.0, 0.5 / 3, np.nan], nan_ok=True
    )


def test_auc_ignores_seeds_and_is_nan_if_all_candidates_are_hidden() -> None:
    scores = np.array([[np.nan, 3, 2], [1, 2, 3]], np.float32)
    found = hidden_auc(scores, np.array([1, 0, 1, 2]), np.array([0, 1, 4]))
    assert found.tolist() == pytest.approx([1.0, np.nan, np.nan, np.nan], nan_ok=True)


def test_auc_equals_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 12, (40, 90)).astype(np.float32)  # many ties
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    wanted = rng.random(scores.shape) < 0.15
    wanted[:, 0], wanted[:, 1] = True, False
    places, owners = np.nonzero(wanted)[1], np.nonzero(wanted)[0]
    offsets = np.concatenate([[0], np.cumsum(wanted.sum(axis=1))])
    mine = mean_per_row(hidden_auc(scores, places, offsets), owners, 40)
    theirs = [roc_auc_score(row, np.maximum(each, -1.0)) for row, each in zip(wanted, scores, strict=True)]
    np.testing.assert_allclose(mine, theirs, atol=1e-12)


def test_average_precision_matches_hand_computed_values() -> None:
    hits = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1]], bool)
    found = average_precision_at(hits, np.array([3, 2, 5, 0]), 4)
    assert found.tolist() == pytest.approx([(1 + 2 / 3) / 3, 0.0, (1 / 2 + 2 / 4) / 4, np.nan], nan_ok=True)
    assert average_precision_at(hits, np.array([3, 2, 5, 4]), 2).tolist() == pytest.approx([1 / 2, 0, (1 / 2) / 2, 1.0])


def test_average_precision_of_full_ranking_equals_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    hits = rng.random((30, 60)) < 0.2
    hits[:, 5] = True
    theirs = [average_precision_score(row, -np.arange(60)) for row in hits]
    np.testing.assert_allclose(average_precision_at(hits, hits.sum(axis=1), 60), theirs, atol=1e-12)

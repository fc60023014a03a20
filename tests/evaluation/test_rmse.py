"""Tests of RMSE against hand-computed values and a plain loop."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.evaluation.test_candidates import _counts, cold, scattered  # noqa: F401
from toolkit.corpus.splits import HeldOut
from toolkit.evaluation.evaluator import evaluate
from toolkit.evaluation.metrics.rmse import rmse_per_row, squared_errors


def test_rmse_matches_hand_computed_value() -> None:
    scores = np.array([[0.5, 0.25, np.nan, -np.inf], [1.0, 2.0, 0.0, 0.5], [1, 1, 1, 1]], np.float32)
    places, offsets = np.array([0, 1, 2, 0, 1, 2, 3]), np.array([0, 1, 3, 7])
    hidden, others = squared_errors(scores, places, offsets)
    # row 0: a seed is no candidate, what cannot be ranked is an estimate of 0; row 2: nothing but hidden tracks
    assert hidden.tolist() == pytest.approx([0.25, 1.0, 1.0, 0, 0, 0, 0])
    assert others.tolist() == pytest.approx([(0.25**2 + 0) / 2, (1 + 0.25) / 2, np.nan], nan_ok=True)
    found = rmse_per_row(hidden, np.array([0, 1, 1, 2, 2, 2, 2]), others)
    assert found.tolist() == pytest.approx(
        [np.sqrt((0.25 + 0.03125) / 2), np.sqrt((1 + 0.625) / 2), np.nan], nan_ok=True
    )


def test_rmse_equals_plain_loop(cold: HeldOut) -> None:  # noqa: F811
    ranker, (hidden, offsets) = scattered(100), cold.hidden()
    found = evaluate(ranker, cold, ks=[7], metrics=["rmse", "recall"], train_counts=_counts(cold), memory_mb=1)
    rows = ranker.score(cold.queries(), cold.candidates).astype(np.float64)
    expected = []
    for (low, high), row in zip(pairwise(offsets), rows, strict=True):
        wanted = np.isin(cold.candidates, hidden[low:high])
        expected.append(np.sqrt((np.square(1 - row[wanted]).mean() + np.square(row[~wanted]).mean()) / 2))
    np.testing.assert_allclose(found.values["all", "rmse", 0], expected, rtol=1e-9)
    assert ("all", "auc", 0) not in found.values

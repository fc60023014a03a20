"""Tests of the comparison of tracks by usage patterns."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.coldstart.usage_patterns import usage_vectors


@pytest.mark.parametrize("users", [500, 3], ids=["many-users", "fewer-users-than-factors"])
def test_usage_vectors_have_the_inner_products_of_explicit_usage_patterns(users: int) -> None:
    rng = np.random.default_rng(0)
    # factors of unequal importance, as those of a factorisation are
    x = rng.normal(size=(users, 6)) * np.array([5, 3, 1, 1, 0.5, 0.1]) + 1
    items = rng.normal(size=(40, 6))
    patterns = items @ x.T
    vectors = usage_vectors(items, x)
    assert vectors.shape == (40, 6) and vectors.dtype == np.float32
    scale = np.abs(patterns @ patterns.T).max()
    np.testing.assert_allclose(vectors @ vectors.T, patterns @ patterns.T, atol=1e-5 * scale)


def test_nearest_tracks_by_usage_patterns_differ_from_those_by_factors() -> None:
    # users vary along the first factor only: the second does not change who plays a track
    users = np.array([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]])
    a, b, c = usage_vectors(np.array([[1.0, 0.0], [1.0, 5.0], [-1.0, 0.1]]), users)

    def cosine(x: np.ndarray, y: np.ndarray) -> float:
        return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))

    assert cosine(a, b) == pytest.approx(1) and cosine(a, c) == pytest.approx(-1)

"""Tests of factor neighbours and factor extremes against hand-computed values."""

from __future__ import annotations

import numpy as np

from toolkit.coldstart.factor_extremes import factor_ends
from toolkit.topk import nearest_by_cosine


def test_nearest_by_cosine_equals_hand_computed_neighbours() -> None:
    vectors = np.array([[1.0, 0], [10, 1], [0, 1], [-1, 0], [1, 1]])
    assert nearest_by_cosine(vectors, np.array([0, 2]), 2).tolist() == [[1, 4], [4, 1]]
    assert nearest_by_cosine(vectors, np.array([0]), 99).tolist() == [[1, 4, 2, 3]]


def test_factor_ends_use_the_factor_with_the_largest_deviation() -> None:
    vectors = np.array([[0.1, 5], [0.1, 7], [0, -4], [0.2, 0], [0.1, 1.0], [0.0, 1.5]])
    (only,) = factor_ends(
        vectors, np.array([0, 0, 2, 3, 4, 5]), factors=1, count=2
    )  # nobody is owner 1; owner 0 stands at 6
    assert only[0] == 1 and only[1].tolist() == [2, 3] and only[2].tolist() == [0, 5]

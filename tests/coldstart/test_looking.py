"""What is shown of predicted factors: neighbours, ends and the map, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.coldstart.looking import ends, map_of, nearest_to


def test_neighbours_by_hand() -> None:
    vectors = np.array([[1.0, 0], [10, 1], [0, 1], [-1, 0], [1, 1]])
    assert nearest_to(vectors, np.array([0, 2]), 2).tolist() == [[1, 4], [4, 1]]
    assert nearest_to(vectors, np.array([0]), 99).tolist() == [[1, 4, 2, 3]]


def test_the_ends_are_of_the_factor_that_differs_most() -> None:
    vectors = np.array([[0.1, 5], [0.1, 7], [0, -4], [0.2, 0], [0.1, 1.0], [0.0, 1.5]])
    (only,) = ends(vectors, np.array([0, 0, 2, 3, 4, 5]), factors=1, count=2)  # nobody is owner 1; owner 0 stands at 6
    assert only[0] == 1 and only[1].tolist() == [2, 3] and only[2].tolist() == [0, 5]


def test_groups_lie_apart_on_the_map_and_few_tracks_on_a_line() -> None:
    rng = np.random.default_rng(0)
    group = np.arange(60) % 3
    vectors = np.eye(3)[group] + 0.05 * rng.normal(size=(60, 3))
    found = map_of(vectors, seed=1)
    assert np.array_equal(found, map_of(vectors, seed=1)) and np.abs(found).max() == pytest.approx(1)
    middles = np.stack([found[group == each].mean(axis=0) for each in range(3)])
    own = np.linalg.norm(found[:, None] - middles, axis=2)
    assert (own.argmin(axis=1) == group).all()
    assert map_of(vectors[:3], seed=1).tolist() == [[-1, 0], [0, 0], [1, 0]] and map_of(vectors[:0], seed=1).shape == (0, 2)

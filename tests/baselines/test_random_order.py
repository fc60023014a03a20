"""Tests that the random order depends only on seed, query and item, and is uniform."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from toolkit.baselines.random_order import RandomOrder
from toolkit.corpus.queries import Queries
from toolkit.ranker import TrainingData

Training = Callable[..., TrainingData]


def test_random_scores_are_uniform_and_uncorrelated(training: Training) -> None:
    ranker = RandomOrder().fit(training([[1, 2]], 20_000))
    scores = ranker.score(Queries.of([[1], [2], [1, 2], [2, 1]]), np.arange(1, 20_001))
    assert scores.min() >= 0 and scores.max() < 1
    np.testing.assert_allclose(scores.mean(axis=1), 0.5, atol=0.01)
    np.testing.assert_allclose(scores.var(axis=1), 1 / 12, atol=0.002)
    np.testing.assert_allclose(np.corrcoef(scores), np.eye(4), atol=0.03)
    assert abs(np.corrcoef(scores[0, 1:], scores[0, :-1])[0, 1]) < 0.03


def test_seed_parameter_overrides_seed_of_the_run(training: Training) -> None:
    data, query, items = training([[1, 2]], 50), Queries.of([[1]]), np.arange(1, 51)
    from_run = RandomOrder().fit(data).score(query, items)
    np.testing.assert_array_equal(RandomOrder(seed=data.seed).fit(data).score(query, items), from_run)
    assert (RandomOrder(seed=data.seed + 1).fit(data).score(query, items) != from_run).all()

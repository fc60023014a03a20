"""Tests of the Markov chain against hand-computed probabilities that sum to one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from toolkit.baselines.markov import Markov
from toolkit.corpus.queries import Queries
from toolkit.ranker import TrainingData

ALL = np.arange(1, 6)


def test_markov_probabilities_equal_hand_computed_discounting(training: Callable[..., TrainingData]) -> None:
    # 1 is followed by 2 twice and by 3 once; 8 placements, of which 1: 3, 2: 2, 3: 2, 4: 1
    ranker = Markov(discount=0.6).fit(training([[1, 2], [1, 2, 3], [4, 1, 3]], 5))
    back = 0.6 * 2 / 3
    single = np.array([3, 2, 2, 1, 0]) / 8
    expected = np.array([0, 1.4 / 3, 0.4 / 3, 0, 0]) + back * single
    expected[4] = -np.inf
    found = ranker.score(Queries.of([[1], [4, 1, 3], [5], []]), ALL)
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    # nothing followed 3, so 1 before it speaks; of an unknown track or none only the placements are known
    np.testing.assert_allclose(found[1], expected, rtol=1e-6)
    single[4] = -np.inf
    np.testing.assert_allclose(found[2:], [single, single], rtol=1e-6)
    assert found[0][:4].sum() == pytest.approx(1.0)

"""Tests of the ranker that uses predicted factors for all tracks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segue.checks.check_ranker import check_ranker
from tests.coldstart.test_rankers import K, Planted, _prediction
from toolkit.coldstart.predicted_factors import PredictedFactors, PredictedForAll


def test_predicted_for_all_scores_played_tracks_by_prediction(planted: Planted) -> None:
    data, test = planted
    given = replace(data, modalities={"predicted": _prediction(data)})
    every, own = PredictedForAll(factors=K).fit(given), PredictedFactors(factors=K).fit(given)
    modality, queries = given.modalities["predicted"], test.queries()
    items = np.arange(1, data.n_items + 1)
    users, _ = own.users(queries)
    expected = np.where(modality.present[items], users @ modality.matrix[items].T, -np.inf)
    np.testing.assert_allclose(every.score(queries, items), expected, rtol=1e-5, atol=1e-6)
    cold = np.flatnonzero((data.train.counts() == 0) & modality.present)
    np.testing.assert_array_equal(every.score(queries, cold), own.score(queries, cold))
    check_ranker(lambda: PredictedForAll(factors=K), given, test)

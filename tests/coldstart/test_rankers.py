"""Tests of cold-start rankers: the ranker contract, and AUC on a planted corpus."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from segue.checks.check_ranker import check_ranker
from toolkit import plugins
from toolkit.coldstart.factorisation import FactorStore
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.errors import InputError
from toolkit.modality import Modality
from toolkit.ranker import TrainingData
from toolkit.recipe import FactorSpec

Planted = tuple[TrainingData, HeldOut]
K = {"k": 8, "iterations": 8}


def _fitted(name: str, data: TrainingData, **params: Any) -> Any:
    return plugins.load("segue.rankers", name)(factors=K, **params).fit(data)


def _reached(ranker: Any, data: TrainingData, test: HeldOut) -> float:
    """Return the mean AUC of the hidden tracks among all unplayed tracks."""
    cold = np.flatnonzero(data.train.counts() == 0)[1:]
    hidden, offsets = test.hidden()
    scores = np.maximum(ranker.score(test.queries(), cold), -1e30)
    found = [np.isin(cold, hidden[low:high]) for low, high in pairwise(offsets)]
    return float(np.mean([roc_auc_score(wanted, row) for wanted, row in zip(found, scores, strict=True)]))


def _prediction(data: TrainingData) -> Modality:
    """Return the factors predicted by ridge, as a modality from a supervised encoder."""
    factors = FactorStore(data.train, FactorSpec(**K), seed=data.seed)()
    ridge = plugins.load("segue.rankers", "ridge")(factors=K, penalties=[0.01])
    vectors, present = ridge.predict(data, factors)
    return Modality("predicted", vectors, present)


@pytest.mark.parametrize("name", ["random-factors", "factor-upper-bound", "ridge"])
def test_cold_start_rankers_pass_check_ranker(name: str, planted: Planted) -> None:
    check_ranker(lambda: plugins.load("segue.rankers", name)(factors=K), *planted)


def test_content_auc_is_between_random_and_upper_bound(planted: Planted) -> None:
    data, test = planted
    chance, found, bound = (
        _reached(_fitted(name, data), data, test) for name in ("random-factors", "ridge", "factor-upper-bound")
    )
    assert abs(chance - 0.5) < 0.1 and 0.8 < found <= bound and bound > 0.9


def test_auc_is_higher_with_two_modalities_than_with_one(planted: Planted) -> None:
    data, test = planted
    both = _reached(_fitted("ridge", data), data, test)
    for name in data.modalities:
        alone = replace(data, modalities={name: data.modalities[name]})
        assert _reached(_fitted("ridge", alone), alone, test) < both - 0.1


def test_shuffled_content_auc_is_near_random(planted: Planted) -> None:
    data, test = planted
    order = np.concatenate([[0], np.random.default_rng(1).permutation(data.n_items) + 1])
    shuffled = {name: Modality(name, each.matrix[order], each.present[order]) for name, each in data.modalities.items()}
    dealt = replace(data, modalities=shuffled)
    assert _reached(_fitted("ridge", dealt), dealt, test) < 0.65


def test_warm_tracks_use_factors_and_cold_tracks_use_prediction(planted: Planted) -> None:
    data, _ = planted
    factors = FactorStore(data.train, FactorSpec(**K), seed=data.seed)()
    given = replace(data, modalities={"predicted": _prediction(data)})
    ranker = _fitted("predicted-factors", given)
    vectors, cold = given.modalities["predicted"].matrix, ~factors.known & given.modalities["predicted"].present
    np.testing.assert_array_equal(ranker.state["items"][factors.known], factors.items[factors.known])
    np.testing.assert_array_equal(ranker.state["items"][cold], vectors[cold])
    assert cold.sum() > 10


def test_tracks_without_plays_and_content_are_not_ranked(planted: Planted) -> None:
    data, test = planted
    ranker = _fitted("ridge", data)
    present = np.any([each.present for each in data.modalities.values()], axis=0) | (data.train.counts() > 0)
    scores = ranker.score(test.queries(), np.arange(1, data.n_items + 1))
    assert np.array_equal(np.isneginf(scores), np.broadcast_to(~present[1:], scores.shape))
    nobody = Queries.of([[data.n_items], [1]])
    assert np.isneginf(ranker.score(nobody, np.arange(1, 50))).all(axis=1).tolist() == [True, False]


def test_ridge_penalty_has_best_validation_ndcg(planted: Planted) -> None:
    data, _ = planted
    assert _fitted("ridge", data, penalties=[0.01, 1e6]).penalty == 0.01
    assert _fitted("ridge", replace(data, valid=None), penalties=[1.0, 10.0, 100.0]).penalty == 10.0


def test_prediction_with_other_dimension_raises_input_error(planted: Planted) -> None:
    data, _ = planted
    with pytest.raises(
        InputError, match=r"modality 'audio' has 3 dimensions and must have k=8: set `targets: {factors: 8}`"
    ):
        _fitted("predicted-factors", replace(data, modalities={"audio": data.modalities["audio"]}))
    with pytest.raises(InputError, match="requires exactly 1 modality, but 2 are set"):
        _fitted("predicted-factors", data)
    with pytest.raises(InputError, match="ridge requires a modality, but there are 0"):
        _fitted("ridge", replace(data, modalities={}))

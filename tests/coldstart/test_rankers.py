"""Cold-start rankers keep the rankers' contract, and stand where they belong on a planted corpus."""

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
    """Mean AUC of the hidden tracks among all tracks without placements."""
    cold = np.flatnonzero(data.train.counts() == 0)[1:]
    hidden, offsets = test.hidden()
    scores = np.maximum(ranker.score(test.queries(), cold), -1e30)
    found = [np.isin(cold, hidden[low:high]) for low, high in pairwise(offsets)]
    return float(np.mean([roc_auc_score(wanted, row) for wanted, row in zip(found, scores, strict=True)]))


def _prediction(data: TrainingData) -> Modality:
    """The factors that ridge predicts, as a supervised encoder would give them."""
    factors = FactorStore(data.train, FactorSpec(**K), seed=data.seed)()
    ridge = plugins.load("segue.rankers", "ridge")(factors=K, penalties=[0.01])
    vectors, present = ridge.predict(data, factors)
    return Modality("predicted", vectors, present)


@pytest.mark.parametrize("name", ["random-factors", "factor-upper-bound", "ridge"])
def test_the_contract_holds(name: str, planted: Planted) -> None:
    check_ranker(lambda: plugins.load("segue.rankers", name)(factors=K), *planted)


def test_content_is_above_random_and_below_the_upper_bound(planted: Planted) -> None:
    data, test = planted
    chance, found, bound = (
        _reached(_fitted(name, data), data, test) for name in ("random-factors", "ridge", "factor-upper-bound")
    )
    assert abs(chance - 0.5) < 0.1 and 0.8 < found <= bound and bound > 0.9


def test_two_modalities_are_better_than_one(planted: Planted) -> None:
    data, test = planted
    both = _reached(_fitted("ridge", data), data, test)
    for name in data.modalities:
        alone = replace(data, modalities={name: data.modalities[name]})
        assert _reached(_fitted("ridge", alone), alone, test) < both - 0.1


def test_shuffled_content_is_as_good_as_random(planted: Planted) -> None:
    data, test = planted
    order = np.concatenate([[0], np.random.default_rng(1).permutation(data.n_items) + 1])
    shuffled = {name: Modality(name, each.matrix[order], each.present[order]) for name, each in data.modalities.items()}
    dealt = replace(data, modalities=shuffled)
    assert _reached(_fitted("ridge", dealt), dealt, test) < 0.65


def test_warm_tracks_keep_their_factors_and_cold_tracks_use_the_prediction(planted: Planted) -> None:
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


def test_the_penalty_is_chosen_on_validation(planted: Planted) -> None:
    data, _ = planted
    assert _fitted("ridge", data, penalties=[0.01, 1e6]).penalty == 0.01
    assert _fitted("ridge", replace(data, valid=None), penalties=[1.0, 10.0, 100.0]).penalty == 10.0


def test_a_prediction_of_other_factors_is_refused(planted: Planted) -> None:
    data, _ = planted
    with pytest.raises(
        InputError, match=r"modality 'audio' has 3 dimensions and must have k=8: set `targets: {factors: 8}`"
    ):
        _fitted("predicted-factors", replace(data, modalities={"audio": data.modalities["audio"]}))
    with pytest.raises(InputError, match="requires exactly 1 modality, but 2 are set"):
        _fitted("predicted-factors", data)
    with pytest.raises(InputError, match="ridge requires a modality, but there are 0"):
        _fitted("ridge", replace(data, modalities={}))

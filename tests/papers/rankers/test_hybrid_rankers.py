"""Tests of metric learning and hybrid rankers on planted and shuffled content."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from segue.checks.check_ranker import check_ranker
from segue_papers.rankers.constant_scores import Coin, OneHalf
from segue_papers.rankers.hybrids import PMF, ContentPrior, HierarchicalHybrid, HierarchicalLinear
from segue_papers.rankers.mlr import nearest
from tests.coldstart.test_rankers import Planted, _reached
from toolkit import plugins
from toolkit.corpus.queries import Queries
from toolkit.errors import InputError
from toolkit.evaluation.evaluator import evaluate
from toolkit.modality import Modality
from toolkit.ranker import TrainingData

FACTORS = {"k": 8, "iterations": 5}
CONTENT: dict[str, dict[str, Any]] = {
    "mlr": {"factors": FACTORS, "steps": 20},
    "hierarchical-linear": {"iterations": 3, "ridges": [1.0]},
    "hierarchical-hybrid": {"k": 4, "iterations": 3, "ridges": [1.0], "factor_ridges": [3.0]},
    "content-prior": {"factors": FACTORS, "iterations": 5},
}
EVERY: dict[str, dict[str, Any]] = CONTENT | {
    "pmf": {"k": 4, "iterations": 3},
    "total-popularity": {},
    "coin": {},
    "one-half": {},
}


def made(name: str) -> Any:
    return plugins.load("segue.rankers", name)(**EVERY[name])


@pytest.mark.parametrize("name", EVERY)
def test_hybrid_ranker_passes_check_ranker(name: str, planted: Planted) -> None:
    # sums in single precision depend on the order of the items queries for
    check_ranker(lambda: made(name), *planted, tolerance=1e-4)


@pytest.mark.parametrize("name", CONTENT)
def test_recall_is_higher_with_content_than_with_shuffled_content(name: str, planted: Planted) -> None:
    data, test = planted
    assert 0.8 < _reached(made(name).fit(data), data, test) < 0.99
    order = np.concatenate([[0], np.random.default_rng(1).permutation(data.n_items) + 1])
    dealt = {
        each.name: Modality(each.name, each.matrix[order], each.present[order]) for each in data.modalities.values()
    }
    assert abs(_reached(made(name).fit(replace(data, modalities=dealt)), data, test) - 0.5) < 0.17


def test_hybrid_scores_separate_played_from_other_tracks(planted: Planted) -> None:
    data, _ = planted
    known = data.train.counts() > 0
    for ranker in (HierarchicalLinear(), HierarchicalHybrid(k=8), PMF(k=8), ContentPrior(factors=FACTORS)):
        ranker.fit(data)
        matrix = data.train.matrix()[:40]
        queries = Queries(matrix.indices.astype(np.int32), matrix.indptr.astype(np.int64))
        every = np.flatnonzero(known & ranker.state["ranked"])
        scores, played = ranker.score(queries, every), matrix[:, every].toarray() > 0
        assert scores[played].mean() > scores[~played].mean() + 0.25, ranker.name
        assert scores[~played].mean() > -0.2 and scores[played].mean() < 1.2, ranker.name


def test_factors_distinguish_tracks_with_identical_content(planted: Planted) -> None:
    """Only interactions distinguish warm tracks that have identical content vectors."""
    data, _ = planted
    flat = {"audio": Modality("audio", np.ones_like(data.modalities["audio"].matrix), np.ones(data.n_items + 1, bool))}
    dull = replace(data, modalities=flat)
    linear, hybrid = HierarchicalLinear().fit(dull), HierarchicalHybrid(k=8).fit(dull)
    counts = data.train.counts()
    cold, warm = np.flatnonzero(counts == 0)[1:], np.flatnonzero(counts)
    queries = Queries.of([data.train.corpus.items[:6].tolist()])
    assert np.ptp(linear.score(queries, warm)) < 1e-4 < np.ptp(hybrid.score(queries, warm))
    assert np.ptp(hybrid.score(queries, cold)) < 1e-4  # without plays there is content alone


def test_relevant_tracks_equal_the_nearest_tracks_by_factors(planted: Planted) -> None:
    from toolkit.coldstart.factorisation import FactorStore
    from toolkit.recipe import FactorSpec

    data, _ = planted
    factors = FactorStore(data.train, FactorSpec(**FACTORS))()
    tracks = np.flatnonzero(factors.known)
    found = nearest(factors, tracks, 5).toarray()
    rows = factors.items[tracks] / np.linalg.norm(factors.items[tracks], axis=1, keepdims=True)
    likeness = rows @ rows.T - 9 * np.eye(len(rows))
    assert (found.sum(axis=1) == 5).all() and not found.diagonal().any()
    assert all(likeness[row][found[row]].min() >= likeness[row][~found[row]].max() for row in range(len(rows)))


@pytest.mark.parametrize("tracks", [1, 2])
def test_mlr_with_fewer_than_three_tracks_raises_error(tracks: int, planted: Planted) -> None:
    data, _ = planted
    audio = data.modalities["audio"]
    few = np.isin(np.arange(data.n_items + 1), np.flatnonzero(audio.present & (data.train.counts() > 0))[:tracks])
    some = replace(data, modalities={"audio": replace(audio, present=few)})
    with pytest.raises(InputError, match=f"mlr: {tracks} training tracks have content and at least 3 are required"):
        made("mlr").fit(some)


def test_mlr_with_a_zero_metric_raises_error(planted: Planted) -> None:
    with pytest.raises(InputError, match="mlr: c=1e-09 results in a metric of zero, which ranks no track: raise c"):
        plugins.load("segue.rankers", "mlr")(factors=FACTORS, steps=5, c=1e-9).fit(planted[0])


def test_tracks_without_plays_and_content_score_minus_infinity(planted: Planted) -> None:
    data, test = planted
    nobody = Queries.of([[]])
    for name in CONTENT:
        ranker = made(name).fit(data)
        assert np.isneginf(ranker.score(nobody, np.arange(1, 40))).all(), name
        with pytest.raises(InputError, match=f"{name} requires a modality, but there are 0"):
            made(name).fit(TrainingData(data.train))
    cold = np.flatnonzero(data.train.counts() == 0)[1:]
    assert np.isneginf(made("pmf").fit(data).score(test.queries(), cold)).all()


def test_penalties_are_those_with_the_lowest_validation_rmse(planted: Planted) -> None:
    data, test = planted
    tried = {"ridges": [100.0, 1.0], "factor_ridges": [1.0, 10.0]}
    chosen = HierarchicalHybrid(k=4, iterations=3, **tried).fit(replace(data, valid=test))
    errors = {}
    for ridge in tried["ridges"]:
        for factor_ridge in tried["factor_ridges"]:
            one = HierarchicalHybrid(k=4, iterations=3, ridges=[ridge], factor_ridges=[factor_ridge]).fit(data)
            found = evaluate(one, test, ks=[1], metrics=["rmse"], train_counts=data.train.counts())
            errors[ridge, factor_ridge] = np.nanmean(found.values["all", "rmse", 0])
    assert tuple(chosen.state["weights"][:2]) == min(errors, key=errors.__getitem__)
    assert len(set(errors.values())) == 4


def test_coin_and_one_half_have_the_rmse_of_the_survey(planted: Planted) -> None:
    """Schedl 2019: 0.707 for 0 or 1 at random, 0.500 for always one half."""
    data, test = planted
    for rankers, expected, tolerance in (
        ([Coin(seed=seed) for seed in range(30)], 0.707, 0.01),
        ([OneHalf()], 0.5, 1e-9),
    ):
        squares = []
        for ranker in rankers:
            found = evaluate(ranker.fit(data), test, ks=[1], metrics=["rmse"], train_counts=data.train.counts())
            squares.append(np.nanmean(found.values["all", "rmse", 0] ** 2))
        assert np.sqrt(np.mean(squares)) == pytest.approx(expected, abs=tolerance)

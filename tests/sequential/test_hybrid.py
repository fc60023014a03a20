"""Tests of sequential models with a cold-start system: the weight, the sum of scores, and errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segue.checks.check_ranker import check_ranker
from tests.sequential.small_models import fusion, ring, spec
from toolkit import plugins
from toolkit.errors import InputError, RecipeError
from toolkit.evaluation.evaluator import evaluate
from toolkit.ranker import Ranker, TrainingData
from toolkit.ranker_registry import load_ranker
from toolkit.recipe import load
from toolkit.sequential.hybrid import WEIGHTS, AdvisedRanker
from toolkit.sequential.sequential_ranker import SequentialRanker

ADVISED = spec(cold_rows="predicted", cold_system="ridge", epochs=1)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def fitted_data() -> TrainingData:
    """Return the ring, with a last track without plays and content, and a content system fitted to it."""
    data, _ = ring()
    for each in data.modalities.values():
        each.present[-1], each.matrix[-1] = False, 0
    data = replace(data, device="cpu")
    ridge = plugins.load("segue.rankers", "ridge")(factors={"k": 8}, penalties=[1e-2])
    return replace(data, systems={"ridge": ridge.fit(data)})


@pytest.fixture(scope="module")
def advised(fitted_data: TrainingData) -> AdvisedRanker:
    return AdvisedRanker(ADVISED, fusion()).fit(fitted_data)


@pytest.fixture(scope="module")
def alone(fitted_data: TrainingData) -> SequentialRanker:
    return SequentialRanker(spec(cold_rows="predicted", epochs=1), fusion()).fit(fitted_data)


def test_advised_scores_are_model_scores_plus_weighted_system_scores(
    advised: AdvisedRanker, alone: Ranker, fitted_data: TrainingData
) -> None:
    assert fitted_data.valid is not None
    queries, items = fitted_data.valid.queries(), np.arange(1, fitted_data.n_items + 1)
    told = fitted_data.systems["ridge"].score(queries, items)
    assert np.isneginf(told[:, -1]).all()
    for weight in (0.0, 0.7):
        copy = _with_weight(advised, weight)
        expected = alone.score(queries, items) + np.float32(weight) * np.where(np.isfinite(told), told, 0)
        np.testing.assert_allclose(copy.score(queries, items), expected, rtol=1e-5, atol=1e-6)


def test_advice_weight_has_best_validation_ranking(
    advised: AdvisedRanker, alone: Ranker, fitted_data: TrainingData
) -> None:
    assert fitted_data.valid is not None
    queries, items = fitted_data.valid.queries(), np.arange(1, fitted_data.n_items + 1)
    spreads = []
    for ranker in (alone, fitted_data.systems["ridge"]):
        scores = ranker.score(queries, items).astype(np.float64)
        spreads.append(np.mean([row[np.isfinite(row)].std() for row in scores]))
    tried = [weight * spreads[0] / spreads[1] for weight in WEIGHTS]
    reached = [_ndcg(_with_weight(advised, weight), fitted_data) for weight in tried]
    assert advised.weight == pytest.approx(tried[int(np.argmax(np.round(reached, 9)))], rel=1e-4)
    assert _ndcg(advised, fitted_data) == pytest.approx(max(reached)) and max(reached) >= _ndcg(alone, fitted_data)


def _with_weight(ranker: AdvisedRanker, weight: float) -> AdvisedRanker:
    copy = AdvisedRanker(ranker.spec, ranker.fusion)
    copy.__dict__.update(ranker.__dict__)
    copy.weight = weight
    return copy


def _ndcg(ranker: Ranker, data: TrainingData) -> float:
    assert data.valid is not None
    values = evaluate(ranker, data.valid, ks=[10], metrics=["ndcg"], train_counts=data.train.counts()).values
    return float(np.nanmean(values["all", "ndcg", 10]))


def test_advised_ranker_passes_check_ranker(fitted_data: TrainingData) -> None:
    assert fitted_data.valid is not None
    check_ranker(lambda: AdvisedRanker(ADVISED, fusion()), fitted_data, fitted_data.valid, tolerance=1e-4)


def test_loaded_advised_ranker_scores_the_same(
    advised: AdvisedRanker, fitted_data: TrainingData, tmp_path: Path
) -> None:
    assert fitted_data.valid is not None
    weighted = _with_weight(advised, 3.0)
    weighted.save(tmp_path / "model")
    loaded = load_ranker("sequential", tmp_path / "model")
    assert isinstance(loaded, AdvisedRanker) and loaded.weight == 3.0
    queries, items = fitted_data.valid.queries(), np.arange(1, fitted_data.n_items + 1)
    np.testing.assert_allclose(loaded.score(queries, items), weighted.score(queries, items), rtol=1e-6)


def test_advised_ranker_without_system_or_validation_raises(fitted_data: TrainingData) -> None:
    with pytest.raises(InputError, match=r"cold_system='ridge' must be a fitted system \(one of: none\)"):
        AdvisedRanker(ADVISED, fusion()).fit(replace(fitted_data, systems={}))
    with pytest.raises(InputError, match="cold_system='ridge' requires validation playlists, but there are 0"):
        AdvisedRanker(ADVISED, fusion()).fit(replace(fitted_data, valid=None))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("cold_system: ridge", "can be set only with `cold_rows: predicted`, not `content`: remove `cold_system`"),
        ("cold_rows: predicted, cold_system: rigde", "='rigde' is not a cold-start system that can be queried"),
    ],
)
def test_recipe_with_invalid_cold_system_raises_recipe_error(change: str, fault: str, tiny_recipe: Path) -> None:
    text = tiny_recipe.read_text().replace("titles: true, select", f"{change}, select")
    tiny_recipe.write_text(text + "\ncoldstart: {systems: [{system: ridge}]}\n")
    with pytest.raises(RecipeError, match=f"models.0.cold_system ?{fault}"):
        load(tiny_recipe)

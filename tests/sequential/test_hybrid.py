"""Sequential models that hear a cold-start system: how it is weighed, what is added, and what is refused."""

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
def heard() -> TrainingData:
    """The ring, whose last track has neither plays nor content, and a system by content that was fitted to it."""
    data, _ = ring()
    for each in data.modalities.values():
        each.present[-1], each.matrix[-1] = False, 0
    data = replace(data, device="cpu")
    ridge = plugins.load("segue.rankers", "ridge")(factors={"k": 8}, penalties=[1e-2])
    return replace(data, systems={"ridge": ridge.fit(data)})


@pytest.fixture(scope="module")
def advised(heard: TrainingData) -> AdvisedRanker:
    return AdvisedRanker(ADVISED, fusion()).fit(heard)


@pytest.fixture(scope="module")
def alone(heard: TrainingData) -> SequentialRanker:
    return SequentialRanker(spec(cold_rows="predicted", epochs=1), fusion()).fit(heard)


def test_what_the_system_says_is_added_by_one_weight(
    advised: AdvisedRanker, alone: Ranker, heard: TrainingData
) -> None:
    assert heard.valid is not None
    queries, items = heard.valid.queries(), np.arange(1, heard.n_items + 1)
    told = heard.systems["ridge"].score(queries, items)
    assert np.isneginf(told[:, -1]).all()
    for weight in (0.0, 0.7):
        copy = _weighing(advised, weight)
        expected = alone.score(queries, items) + np.float32(weight) * np.where(np.isfinite(told), told, 0)
        np.testing.assert_allclose(copy.score(queries, items), expected, rtol=1e-5, atol=1e-6)


def test_the_weight_is_that_of_the_best_ranking_of_validation(
    advised: AdvisedRanker, alone: Ranker, heard: TrainingData
) -> None:
    assert heard.valid is not None
    queries, items = heard.valid.queries(), np.arange(1, heard.n_items + 1)
    spreads = []
    for ranker in (alone, heard.systems["ridge"]):
        scores = ranker.score(queries, items).astype(np.float64)
        spreads.append(np.mean([row[np.isfinite(row)].std() for row in scores]))
    tried = [weight * spreads[0] / spreads[1] for weight in WEIGHTS]
    reached = [_ndcg(_weighing(advised, weight), heard) for weight in tried]
    assert advised.weight == pytest.approx(tried[int(np.argmax(np.round(reached, 9)))], rel=1e-4)
    assert _ndcg(advised, heard) == pytest.approx(max(reached)) and max(reached) >= _ndcg(alone, heard)


def _weighing(ranker: AdvisedRanker, weight: float) -> AdvisedRanker:
    copy = AdvisedRanker(ranker.spec, ranker.fusion)
    copy.__dict__.update(ranker.__dict__)
    copy.weight = weight
    return copy


def _ndcg(ranker: Ranker, data: TrainingData) -> float:
    assert data.valid is not None
    values = evaluate(ranker, data.valid, ks=[10], metrics=["ndcg"], train_counts=data.train.counts()).values
    return float(np.nanmean(values["all", "ndcg", 10]))


def test_the_contract_holds(heard: TrainingData) -> None:
    assert heard.valid is not None
    check_ranker(lambda: AdvisedRanker(ADVISED, fusion()), heard, heard.valid, tolerance=1e-4)


def test_it_is_loaded_with_its_system(advised: AdvisedRanker, heard: TrainingData, tmp_path: Path) -> None:
    assert heard.valid is not None
    loud = _weighing(advised, 3.0)
    loud.save(tmp_path / "model")
    loaded = load_ranker("sequential", tmp_path / "model")
    assert isinstance(loaded, AdvisedRanker) and loaded.weight == 3.0
    queries, items = heard.valid.queries(), np.arange(1, heard.n_items + 1)
    np.testing.assert_allclose(loaded.score(queries, items), loud.score(queries, items), rtol=1e-6)


def test_what_it_needs_and_lacks_is_named(heard: TrainingData) -> None:
    with pytest.raises(InputError, match=r"cold_system='ridge' is not among the fitted systems \(none\)"):
        AdvisedRanker(ADVISED, fusion()).fit(replace(heard, systems={}))
    with pytest.raises(InputError, match="cold_system is weighed on validation playlists and there are none"):
        AdvisedRanker(ADVISED, fusion()).fit(replace(heard, valid=None))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("cold_system: ridge", "is for cold_rows: predicted, not content: take it out"),
        ("cold_rows: predicted, cold_system: rigde", "='rigde' is not a cold-start system that can be queried"),
    ],
)
def test_a_recipe_that_asks_amiss_is_refused(change: str, fault: str, tiny_recipe: Path) -> None:
    text = tiny_recipe.read_text().replace("titles: true, select", f"{change}, select")
    tiny_recipe.write_text(text + "\ncoldstart: {systems: [{system: ridge}]}\n")
    with pytest.raises(RecipeError, match=f"models.0.cold_system ?{fault}"):
        load(tiny_recipe)

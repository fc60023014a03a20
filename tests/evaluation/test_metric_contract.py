"""Tests that all metrics pass the contract and that broken metrics fail."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from segue.checks.check_metric import check_metric
from toolkit import plugins
from toolkit.contracts.metric import (
    Block,
    Metric,
    MetricInfo,
    SystemMetric,
    chosen,
    described,
    named,
    selecting,
    stored,
)
from toolkit.evaluation.evaluator import evaluate
from toolkit.evaluation.metrics.coverage import Coverage
from toolkit.evaluation.metrics.recall import Recall
from toolkit.recipe import Evaluation


class HitRate(Metric):
    """Whether a hidden track is among the first k."""

    name = "hit_rate"
    label = "Hit rate"
    value_range = (0.0, 1.0)

    def values(self, block: Block, k: int) -> np.ndarray:
        return np.where(block.n_hidden > 0, block.hits[:, :k].any(axis=1), np.nan)


@pytest.mark.parametrize("name", plugins.names("segue.metrics"))
def test_built_in_metrics_pass_check_metric(name: str) -> None:
    check_metric(type(named(name)))
    assert named(name).name == name


def test_example_metric_passes_check_metric() -> None:
    check_metric(HitRate)


def broken(**changed: object) -> type[Metric]:
    return type("Broken", (HitRate,), {"__doc__": "Broken.", **changed})


def values(compute: Callable[[Block, int], np.ndarray]) -> Callable[[Metric, Block, int], np.ndarray]:
    return lambda self, block, k: compute(block, k)


class Doubled(Coverage):
    """Coverage whose block tallies do not add up."""

    def tally(self, block: Block, k: int) -> np.ndarray:
        return np.asarray(super().tally(block, k) * (1 if len(block.ranked) > 6 else 0))


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (broken(name="hit@k"), "must not contain '@'"),
        (broken(value_range=(1.0, 0.0)), r"must be \(lowest value, highest value\)"),
        (broken(__doc__=None), "must have a docstring"),
        (broken(cutoff="q"), "cutoff='q' must be one of k, r, none"),
        (broken(decimals=True + 8), "decimals=9 must be"),
        (
            broken(values=values(lambda block, k: block.hits[:, :k].any(axis=1).astype(float))),
            "without hidden tracks must have the value NaN",
        ),
        (
            broken(values=values(lambda block, k: block.hits[:, :k].any(axis=1))),
            "values returned bool and must return float64",
        ),
        (broken(values=values(lambda block, k: np.array(0.5))), "must return one value per playlist"),
        (broken(value_range=(0.0, 0.5)), r"must be in value_range=\(0.0, 0.5\)"),
        (broken(higher_is_better=False), r"requires a lower value with hidden tracks first \(1.0\)"),
        (
            broken(
                values=values(
                    lambda block, k: np.where(block.n_hidden > 0, (block.ranked[:, :k] % 7 == 0).any(axis=1), np.nan)
                ),
            ),
            'set reads="tracks"',
        ),
        (
            broken(values=values(lambda block, k: np.where(block.n_hidden > 0, block.hits.any(axis=1), np.nan))),
            "must not depend on tracks after rank 1",
        ),
        (
            broken(values=values(lambda block, k: np.where(block.n_hidden > 0, block.hits[:, :k].sum() / 400, np.nan))),
            "must not depend on other playlists",
        ),
        (Doubled, "must sum to the tally"),
    ],
)
def test_check_metric_raises_for_broken_metrics(cls: type[Metric], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_metric(cls)


def test_metrics_are_named_by_entry_point_or_class_path(corpus_of) -> None:
    from tests.evaluation.fixed_rankers import by_id
    from toolkit.corpus.splits import HeldOut

    corpus = corpus_of([[1, 2, 6, 4], [5, 4, 3]], 8)
    part = HeldOut(corpus, np.arange(2), corpus.offsets[:-1], corpus.offsets[:-1] + 1, corpus.offsets[1:])
    path = f"{__name__}:HitRate"
    for given, key in ((HitRate, "hit_rate"), (path, path)):
        found = evaluate(by_id(8), part, ks=[1, 3], metrics=["recall", given], train_counts=np.ones(9, np.int64))
        assert found.values["all", key, 1].tolist() == [1, 0] and found.values["all", key, 3].tolist() == [1, 1]


def test_recipe_accepts_installed_metrics_and_module_class() -> None:
    assert Evaluation(metrics=["recall", f"{__name__}:HitRate"]).metrics == ["recall", f"{__name__}:HitRate"]
    with pytest.raises(ValueError, match="is not a metric: did you mean 'ndcg'"):
        Evaluation(metrics=["ndgc"])
    with pytest.raises(ValueError, match="is not a subclass of segue.plugin.Metric"):
        Evaluation(metrics=["toolkit.seeds:derived_seed"])


def test_metric_info_has_direction_and_decimals_of_metric() -> None:
    assert selecting(["clicks", "recall", "novelty", "coverage", "rmse", "auc"]) == ["recall", "auc"]
    assert list(chosen([Recall, "ndcg"])) == ["recall", "ndcg"] and isinstance(named("coverage"), SystemMetric)
    assert described("clicks") == MetricInfo("Clicks", False, 2, (0.0, None))


def test_uninstalled_metric_uses_stored_info() -> None:
    run = {"gone": {"label": "Gone", "higher_is_better": False, "decimals": 1}, "recall": {"label": "other"}}
    assert stored(run, "gone") == MetricInfo("Gone", False, 1)
    assert stored(run, "recall") is None and stored(run, "unknown") is None
    assert described("unknown") == MetricInfo("unknown", True, 4)

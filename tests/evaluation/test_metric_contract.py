"""Every metric keeps the contract, and the suite catches one that does not."""

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
    """Whether the first k tracks hold any hidden one."""

    name = "hit_rate"
    label = "Hit rate"
    value_range = (0.0, 1.0)

    def values(self, block: Block, k: int) -> np.ndarray:
        return np.where(block.n_hidden > 0, block.hits[:, :k].any(axis=1), np.nan)


@pytest.mark.parametrize("name", plugins.names("segue.metrics"))
def test_built_in_metrics_pass_check_metric(name: str) -> None:
    check_metric(type(named(name)))
    assert named(name).name == name


def test_metric_of_one_class_passes_check_metric() -> None:
    check_metric(HitRate)


def broken(**changed: object) -> type[Metric]:
    return type("Broken", (HitRate,), {"__doc__": "Broken.", **changed})


def values(compute: Callable[[Block, int], np.ndarray]) -> Callable[[Metric, Block, int], np.ndarray]:
    return lambda self, block, k: compute(block, k)


class Doubled(Coverage):
    """Coverage whose tallies do not add up."""

    def tally(self, block: Block, k: int) -> np.ndarray:
        return np.asarray(super().tally(block, k) * (1 if len(block.ranked) > 6 else 0))


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (broken(name="hit@k"), "must not hold @"),
        (broken(value_range=(1.0, 0.0)), "the lowest and the highest value"),
        (broken(__doc__=None), "needs a docstring"),
        (broken(cutoff="q"), "cutoff='q' must be one of k, r, none"),
        (broken(decimals=True + 8), "decimals=9 must be"),
        (
            broken(values=values(lambda block, k: block.hits[:, :k].any(axis=1).astype(float))),
            "hides nothing has no value",
        ),
        (broken(values=values(lambda block, k: block.hits[:, :k].any(axis=1))), "values are bool, not float64"),
        (broken(values=values(lambda block, k: np.array(0.5))), "must be one a playlist"),
        (broken(value_range=(0.0, 0.5)), "are not within"),
        (broken(higher_is_better=False), "hidden tracks first give 1.0, last 0.0: must be lower"),
        (
            broken(
                values=values(
                    lambda block, k: np.where(block.n_hidden > 0, (block.ranked[:, :k] % 7 == 0).any(axis=1), np.nan)
                ),
            ),
            'declare reads = "tracks"',
        ),
        (
            broken(values=values(lambda block, k: np.where(block.n_hidden > 0, block.hits.any(axis=1), np.nan))),
            "depends on tracks after rank 1",
        ),
        (
            broken(values=values(lambda block, k: np.where(block.n_hidden > 0, block.hits[:, :k].sum() / 400, np.nan))),
            "depends on the others",
        ),
        (Doubled, "do not add up"),
    ],
)
def test_check_metric_reports_broken_metrics(cls: type[Metric], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_metric(cls)


def test_metric_class_is_listed_by_name_and_module_class_by_path(corpus_of) -> None:
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


def test_direction_and_decimals_are_those_of_the_metric() -> None:
    assert selecting(["clicks", "recall", "novelty", "coverage", "rmse", "auc"]) == ["recall", "auc"]
    assert list(chosen([Recall, "ndcg"])) == ["recall", "ndcg"] and isinstance(named("coverage"), SystemMetric)
    assert described("clicks") == MetricInfo("Clicks", False, 2)


def test_metric_that_is_not_installed_has_the_facts_that_the_run_stored() -> None:
    run = {"gone": {"label": "Gone", "higher_is_better": False, "decimals": 1}, "recall": {"label": "other"}}
    assert stored(run, "gone") == MetricInfo("Gone", False, 1)
    assert stored(run, "recall") is None and stored(run, "unknown") is None
    assert described("unknown") == MetricInfo("unknown", True, 4)

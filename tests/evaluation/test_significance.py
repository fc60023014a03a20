"""Tests of the t-test against SciPy and simulations, of Holm's correction, and of detectable differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from toolkit.evaluation.evaluator import Scores
from toolkit.evaluation.result_rows import comparisons
from toolkit.evaluation.significance import holm, paired_t


def test_paired_t_without_versions_equals_ordinary_t_test() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 50, 3))
    found = paired_t(a, b + 0.2, np.arange(50))
    assert [each.p for each in found] == pytest.approx(stats.ttest_rel(a, b + 0.2).pvalue, abs=1e-12)


def test_paired_t_counts_versions_as_one_playlist() -> None:
    generator = np.random.default_rng(1)
    small = {"groups": 0, "lists": 0}
    for _ in range(400):
        sizes = generator.integers(1, 12, size=40)
        groups = np.repeat(np.arange(40), sizes)
        values = (generator.normal(size=40)[groups] + 0.3 * generator.normal(size=len(groups)))[:, None]
        for name, units in (("groups", groups), ("lists", np.arange(len(groups)))):
            small[name] += paired_t(values, np.zeros_like(values), units)[0].p < 0.05
    assert 0.02 <= small["groups"] / 400 <= 0.09
    assert small["lists"] / 400 > 0.25


def test_detectable_difference_is_significant_in_80_percent_of_tests() -> None:
    generator = np.random.default_rng(2)
    shown, least = 0, paired_t(generator.normal(size=(100, 1)), np.zeros((100, 1)), np.arange(100))[0].detectable
    assert least == pytest.approx(2.83 / 10, rel=0.25)
    for _ in range(400):
        shown += paired_t(generator.normal(2.83 / 10, 1, size=(100, 1)), np.zeros((100, 1)), np.arange(100))[0].p < 0.05
    assert 0.74 <= shown / 400 <= 0.86


def test_paired_t_p_is_1_for_equal_values_and_nan_for_one_group() -> None:
    ones, zeros = np.ones((4, 1)), np.zeros((4, 1))
    assert paired_t(ones, ones, np.arange(4))[0].p == 1 and paired_t(ones, zeros, np.arange(4))[0].p == 0
    assert math.isnan(paired_t(ones, zeros, np.zeros(4, int))[0].p)


def test_holm_matches_hand_computed_values() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, np.nan, 0.7])).tolist() == pytest.approx([1, np.nan, 1], nan_ok=True)


def test_holm_correction_is_per_column_without_oracles() -> None:
    generator = np.random.default_rng(4)
    n = 200

    def scores(shift: float) -> Scores:
        values = {("all", metric, 10): generator.normal(shift, 1, size=n) for metric in ("recall", "ndcg")}
        return Scores(values, {"all": np.ones(n, int)}, np.zeros((n, 0), np.int32))

    made = {"base": scores(0), "one": scores(0.25), "two": scores(0.3), "bound": scores(9)}
    rows = comparisons(made, "base", groups=np.arange(n), bootstrap=500, seed=0, oracles=["bound"])
    assert len(rows) == 6 and all("p_holm" not in row for row in rows if row["system"] == "bound")
    for metric in ("recall", "ndcg"):
        pair = [row for row in rows if row["metric"] == metric and row["system"] != "bound"]
        low, high = sorted(row["p_t"] for row in pair)
        assert sorted(row["p_t_holm"] for row in pair) == pytest.approx([2 * low, max(2 * low, high)], abs=1e-7)
        assert all(row["p"] <= row["p_holm"] <= 1 and 0.2 < row["detectable"] < 0.4 for row in pair)

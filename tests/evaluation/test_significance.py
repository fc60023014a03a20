"""Tests of paired differences against SciPy and simulations, of Holm's correction, and of detectable differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from toolkit.evaluation.evaluator import Scores
from toolkit.evaluation.result_rows import comparisons
from toolkit.evaluation.significance import Difference, holm, paired_difference, paired_differences

SHARE = (0.0, 1.0)


def against_zero(values: np.ndarray, groups: np.ndarray | None = None, **keys: object) -> Difference:
    units = np.arange(len(values)) if groups is None else groups
    return paired_difference(values, np.zeros_like(values), units, seed=0, **keys)  # type: ignore[arg-type]


def slow_sign_flips(sums: np.ndarray) -> float:
    """Return the share of all 2^n sign flips with a sum at least as large."""
    n, observed, extreme = len(sums), abs(sums.sum()), 0
    for mask in range(2**n):
        signs = np.array([1 if mask >> at & 1 else -1 for at in range(n)])
        extreme += abs((signs * sums).sum()) >= observed - 1e-12
    return extreme / 2**n


@pytest.mark.parametrize("n", [2, 3, 5, 8, 11])
def test_p_of_few_playlists_is_the_larger_one_of_sign_flips_and_t_test(n: int) -> None:
    values = np.random.default_rng(n).normal(0.4, 1, n)
    found = against_zero(values)
    t = stats.ttest_1samp(values, 0).pvalue
    flips = stats.permutation_test(
        (values, np.zeros(n)), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert flips == pytest.approx(slow_sign_flips(values))
    assert (found.p, found.p_t) == (pytest.approx(max(t, flips)), pytest.approx(t))
    assert (found.test, found.p_floor) == ("sign flips", 2 / 2**n)


def test_sign_flips_of_versions_flip_whole_playlists() -> None:
    values, groups = np.array([0.5, 0.1, 0.2, 0.2, 0.9, 0.1]), np.array([0, 0, 1, 1, 1, 2])
    found = against_zero(values, groups)
    assert found.p >= slow_sign_flips(np.array([0.6, 1.3, 0.1])) == found.p_floor == 0.25


def test_five_large_differences_are_not_significant() -> None:
    """A percentile bootstrap of these five playlists gives p = .002."""
    found = against_zero(np.array([0.31, 0.22, 0.18, 0.25, 0.20]), value_range=SHARE)
    assert found.p_t < 0.001 and found.p == 2 / 2**5 > 0.05
    assert math.isnan(found.detectable)


def test_many_playlists_are_tested_by_bootstrap_and_t_test() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 50, 3))
    found = paired_differences(a, b + 0.2, np.arange(50), seed=2, samples=300)
    assert [each.p_t for each in found] == pytest.approx(stats.ttest_rel(a, b + 0.2).pvalue, abs=1e-12)
    draws = np.random.default_rng(2).integers(0, 50, size=(300, 50))
    for column, each in enumerate(found):
        means = (a - b - 0.2)[draws, column].mean(axis=1)
        assert each.p == pytest.approx(min(1.0, 2 * (min((means <= 0).sum(), (means >= 0).sum()) + 1) / 301))
        assert (each.test, each.p_floor) == ("bootstrap", 2 / 301)


def test_p_of_the_bootstrap_is_at_its_floor_for_a_large_difference() -> None:
    found = against_zero(np.random.default_rng(0).normal(3, 1, 60), samples=400)
    assert found.p == found.p_floor == pytest.approx(2 / 401)


def test_more_than_twenty_unequal_groups_draw_sign_flips_at_random() -> None:
    """One playlist has most of the versions, so 30 groups are as few as 4 and are tested by 2,000 random flips."""
    groups = np.repeat(np.arange(30), [60] + [2] * 29)
    values = np.random.default_rng(3).normal(size=30)[groups]
    found = against_zero(values, groups, samples=2000)
    assert found.independent < 5 and found.test == "random sign flips" and found.p_floor == 1 / 2001
    sums = np.bincount(groups, weights=values)
    signs = np.random.default_rng(9).choice([-1.0, 1.0], size=(20_000, 30))
    assert found.p >= np.mean(np.abs(signs @ sums) >= abs(sums.sum())) - 0.03


@pytest.mark.parametrize("n", [3, 5, 8, 12, 19, 20, 25, 40, 60])
@pytest.mark.parametrize("population", ["normal", "skewed", "hits"])
def test_equal_systems_are_rarely_called_different(n: int, population: str) -> None:
    """Both tests and the interval must agree for a claim; at most 5 % of equal pairs may have one."""
    draw = {
        "normal": lambda generator, shape: generator.normal(size=shape),
        "skewed": lambda generator, shape: generator.beta(0.6, 2.4, shape),
        "hits": lambda generator, shape: (generator.random(shape) < 0.2).astype(float),
    }[population]
    a, b = draw(np.random.default_rng(n), (2, n, 3000 if n < 12 else 1000))
    found = paired_differences(a, b, np.arange(n), seed=n, samples=999)
    claimed = [max(each.p, each.p_t) < 0.05 and not each.low <= 0 <= each.high for each in found]
    assert np.mean(claimed) <= 0.065


def test_versions_count_as_one_playlist() -> None:
    generator = np.random.default_rng(1)
    small = {"groups": 0, "lists": 0}
    for _ in range(400):
        sizes = generator.integers(1, 12, size=40)
        groups = np.repeat(np.arange(40), sizes)
        values = generator.normal(size=40)[groups] + 0.3 * generator.normal(size=len(groups))
        for name, units in (("groups", groups), ("lists", np.arange(len(groups)))):
            small[name] += against_zero(values, units, samples=50).p_t < 0.05
    assert 0.02 <= small["groups"] / 400 <= 0.09
    assert small["lists"] / 400 > 0.25


def test_detectable_difference_is_significant_in_80_percent_of_tests() -> None:
    generator = np.random.default_rng(2)
    shown, least = 0, against_zero(generator.normal(size=100), samples=50).detectable
    assert least == pytest.approx(2.83 / 10, rel=0.25)
    for _ in range(400):
        shown += against_zero(generator.normal(2.83 / 10, 1, size=100), samples=50).p_t < 0.05
    assert 0.74 <= shown / 400 <= 0.86


@pytest.mark.parametrize(
    ("values", "possible"),
    [
        ([0.9, -0.8, 0.7, -0.9, 0.8, -0.7], False),  # 1.3 would be needed, and Recall cannot differ by more than 1
        ([0.5, 0.1, 0.4], False),  # three playlists cannot give p < .05
        ([0.03, -0.02, 0.01, 0.04, -0.01, 0.02], True),
    ],
)
def test_differences_beyond_the_range_of_the_metric_are_not_detectable(values: list[float], possible: bool) -> None:
    assert math.isnan(against_zero(np.array(values), value_range=SHARE).detectable) is not possible


def test_equal_values_have_p_1_and_one_group_has_none() -> None:
    ones, zeros = np.ones(4), np.zeros(4)
    same = paired_difference(ones, ones, np.arange(4), seed=0, value_range=SHARE)
    assert (same.value, same.p, same.p_t) == (0, 1, 1) and same.low == -same.high < 0
    alone = paired_difference(ones, zeros, np.zeros(4, int), seed=0)
    assert all(math.isnan(each) for each in (alone.p, alone.p_t, alone.low, alone.detectable, alone.p_floor))


@pytest.mark.parametrize("n", [4, 5, 6, 40])
def test_same_difference_everywhere_may_hide_a_share_of_other_differences(n: int) -> None:
    found = paired_difference(np.full(n, 0.75), np.full(n, 0.5), np.arange(n), seed=0, value_range=SHARE)
    unseen = stats.binomtest(0, n).proportion_ci(0.95, method="exact").high
    assert (found.low, found.high) == (pytest.approx(0.25 - unseen * 1.25), pytest.approx(0.25 + unseen * 0.75))
    assert (found.p < 0.05) is (n >= 6) and math.isnan(found.detectable)


@pytest.mark.parametrize("n", [6, 10, 19, 20, 30, 50])
@pytest.mark.parametrize("rare", [0.02, 0.05, 0.95])
def test_interval_covers_the_difference_of_systems_that_rarely_differ(rare: float, n: int) -> None:
    values = (np.random.default_rng(n).random((n, 2000)) < rare).astype(float)
    found = paired_differences(values, 0 * values, np.arange(n), seed=n, samples=500, ranges=[SHARE] * 2000)
    assert np.mean([each.low <= rare <= each.high for each in found]) >= 0.88


def test_paired_values_of_different_lengths_raise() -> None:
    with pytest.raises(ValueError, match=r"shapes \(2, 1\) and \(3, 1\) must have the same shape"):
        paired_differences(np.zeros((2, 1)), np.zeros((3, 1)), np.arange(2), seed=0)


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

"""Tests of intervals against SciPy and plain loops, with their coverage at any number of playlists."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from toolkit.evaluation import statistics
from toolkit.evaluation.statistics import Sample, _bca, are_versions, mean_intervals

SHARE = (0.0, 1.0)


def grouped(seed: int, n_groups: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Return values [n, 2] of playlists in groups of unequal size, with a common part per group."""
    generator = np.random.default_rng(seed)
    sizes = np.ceil(np.exp(generator.normal(0, spread, n_groups)) * 4).astype(int)
    groups = np.repeat(np.arange(n_groups) * 10, sizes)
    return generator.normal(size=(len(groups), 2)) + generator.normal(size=n_groups)[groups // 10, None], groups


def slow_means(values: np.ndarray, groups: np.ndarray, *, seed: int, samples: int, macro: bool) -> np.ndarray:
    """Return the means of the same draws by concatenating the playlists of all drawn groups."""
    generator, names, means = np.random.default_rng(seed), np.unique(groups), []
    for _ in range(samples):
        drawn = [values[groups == names[at]] for at in generator.integers(0, len(names), size=len(names))]
        means.append(
            np.mean([part.mean(axis=0) for part in drawn], axis=0) if macro else np.concatenate(drawn).mean(axis=0)
        )
    return np.array(means)


@pytest.mark.parametrize("macro", [False, True])
@pytest.mark.parametrize("chunk", [1, 100, 4_000_000])
def test_draws_equal_plain_loop(macro: bool, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values, groups = grouped(4, 12, 0.7)
    monkeypatch.setattr(statistics, "CHUNK_ENTRIES", chunk)
    sample = Sample.of(values, groups, macro=macro)
    slow = slow_means(values, groups, seed=9, samples=200, macro=macro)
    assert sample.draws(seed=9, samples=200) == pytest.approx(slow)
    of_groups = [values[groups == name].mean(axis=0) for name in np.unique(groups)]
    assert sample.means == pytest.approx(np.mean(of_groups, axis=0) if macro else values.mean(axis=0))
    assert sample.n == (12 if macro else len(values))


def test_few_playlists_have_the_ordinary_t_interval() -> None:
    values = np.random.default_rng(0).random((7, 3))
    found = mean_intervals(values, np.arange(7), seed=0)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert [each.low for each in found] == pytest.approx(expected.low)
    assert [each.high for each in found] == pytest.approx(expected.high)


def test_many_playlists_have_the_wider_one_of_scipys_bca_and_t_interval_on_each_side() -> None:
    values = np.random.default_rng(1).exponential(size=40)
    draws = np.random.default_rng(2)
    bca = stats.bootstrap((values,), np.mean, n_resamples=40_000, rng=draws, batch=1000).confidence_interval
    t = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    (found,) = mean_intervals(values[:, None], np.arange(40), seed=3, samples=40_000)
    assert t.low < bca.low and t.high < bca.high  # a long tail on the right moves both bounds of BCa
    assert found.low == pytest.approx(t.low)
    assert found.high == pytest.approx(bca.high, abs=0.02 * (bca.high - bca.low))


def test_bca_bounds_of_groups_of_versions_are_those_of_scipy() -> None:
    values, groups = grouped(5, 60, 0.5)
    sample = Sample.of(values[:, :1], groups)
    expected = stats.bootstrap(
        (sample.sums[:, 0], sample.sizes),
        lambda sums, sizes, axis=-1: sums.sum(axis=axis) / sizes.sum(axis=axis),
        paired=True,
        n_resamples=20_000,
        rng=np.random.default_rng(2),
        batch=1000,
    ).confidence_interval
    low, high = _bca(sample, sample.draws(seed=3, samples=20_000))
    assert low == pytest.approx(expected.low, abs=0.03 * (expected.high - expected.low))
    assert high == pytest.approx(expected.high, abs=0.03 * (expected.high - expected.low))


def test_effective_number_of_playlists_counts_large_groups_less() -> None:
    ones = np.ones((10, 1))
    assert Sample.of(ones, np.arange(10)).independent == 10
    assert Sample.of(ones, np.repeat([0, 1], 5)).independent == 2
    assert Sample.of(ones, np.array([0] * 9 + [1])).independent == pytest.approx(100 / 82)


POPULATIONS = {
    "normal": lambda generator, shape: (generator.normal(0.4, 0.1, shape), 0.4, (-np.inf, np.inf)),
    "recall": lambda generator, shape: (generator.beta(0.8, 2.4, shape), 0.25, SHARE),
    "rare hits": lambda generator, shape: ((generator.random(shape) < 0.2).astype(float), 0.2, SHARE),
    "few extremes": lambda generator, shape: (
        generator.lognormal(0, 1.2, shape),
        float(np.exp(1.2**2 / 2)),
        (0.0, np.inf),
    ),
    "mostly zero": lambda generator, shape: (
        np.where(generator.random(shape) < 0.4, generator.beta(2, 2, shape), 0.0),
        0.2,
        SHARE,
    ),
}


def coverage(population: str, n: int, *, repetitions: int = 4000) -> float:
    """Return the share of intervals of n playlists that contain the known mean of the population.

    The repetitions are columns, so bootstrap draws of playlists are shared, but their values are not.
    """
    values, mean, possible = POPULATIONS[population](np.random.default_rng(n), (n, repetitions))
    found = mean_intervals(values, np.arange(n), seed=n, samples=1999, ranges=[possible] * repetitions)
    return float(np.mean([each.low <= mean <= each.high for each in found]))


@pytest.mark.parametrize("n", [3, 4, 5, 7, 10, 15, 19, 20, 30, 50])
@pytest.mark.parametrize("population", POPULATIONS)
def test_interval_covers_the_known_mean_at_any_number_of_playlists(population: str, n: int) -> None:
    least = {"normal": 0.94, "recall": 0.89, "rare hits": 0.90, "mostly zero": 0.88, "few extremes": 0.76}[population]
    assert least <= coverage(population, n) <= 1


@pytest.mark.parametrize("spread", [0.0, 0.8, 1.5])
@pytest.mark.parametrize("n_groups", [5, 10, 37])
def test_interval_of_unequal_groups_covers_the_known_mean(n_groups: int, spread: float) -> None:
    generator, covered = np.random.default_rng(n_groups), 0
    for trial in range(300):
        sizes = np.ceil(np.exp(generator.normal(0, spread, n_groups)) * 5).astype(int)
        groups = np.repeat(np.arange(n_groups), sizes)
        values = generator.binomial(10, generator.beta(0.6, 2.4, n_groups)[groups]) / 10
        (found,) = mean_intervals(values[:, None], groups, seed=trial, samples=500, ranges=[SHARE])
        covered += found.low <= 0.2 <= found.high
    assert covered / 300 >= 0.86


def test_intervals_over_single_versions_would_be_too_narrow() -> None:
    generator, covered = np.random.default_rng(0), {"groups": 0, "lists": 0}
    for trial in range(300):
        sizes = generator.integers(1, 12, size=50)
        groups = np.repeat(np.arange(50), sizes)
        values = (generator.normal(size=50)[groups] + 0.5 * generator.normal(size=len(groups)))[:, None]
        for name, units in (("groups", groups), ("lists", np.arange(len(groups)))):
            found = mean_intervals(values, units, seed=trial, samples=300)[0]
            covered[name] += found.low <= 0 <= found.high
    assert 0.90 <= covered["groups"] / 300 <= 0.98
    assert covered["lists"] / 300 < 0.75


def test_values_without_spread_have_the_exact_binomial_bound() -> None:
    zeros, ones = (mean_intervals(np.full((5, 1), value), np.arange(5), seed=0, ranges=[SHARE])[0] for value in (0, 1))
    exact = stats.binomtest(0, 5).proportion_ci(0.95, method="exact").high
    assert (zeros.low, zeros.high) == (0, pytest.approx(exact)) and (ones.low, ones.high) == (1 - exact, 1)
    (many,) = mean_intervals(np.zeros((300, 1)), np.arange(300), seed=0, ranges=[SHARE])
    assert (many.low, many.high) == (0, pytest.approx(stats.binomtest(0, 300).proportion_ci(0.95).high))
    (unbounded,) = mean_intervals(np.zeros((5, 1)), np.arange(5), seed=0)
    assert math.isnan(unbounded.low) and math.isnan(unbounded.high)


def test_interval_stays_in_the_range_of_the_metric() -> None:
    values = np.array([[0.0], [0.0], [0.4], [0.1]])
    (free,), (found,) = (mean_intervals(values, np.arange(4), seed=0, ranges=each) for each in ((), [SHARE]))
    assert free.low < 0 and (found.low, found.high) == (0, pytest.approx(free.high))


def test_macro_mean_matches_hand_computed_value() -> None:
    values, groups = np.array([1.0, 0.0, 0.0, 0.5]), np.array([7, 3, 3, 3])
    found = mean_intervals(np.stack([values, 2 * values], axis=1), groups, seed=0, samples=10, macro=True)
    assert [each.value for each in found] == pytest.approx([(1 + 0.5 / 3) / 2, 7 / 6])


def test_are_versions_detects_repeated_groups() -> None:
    assert are_versions(np.array([1, 2, 1])) and not are_versions(np.array([3, 1, 2]))


def test_same_seed_gives_same_interval() -> None:
    values, groups = grouped(4, 60, 0.5)
    first, again, other = (mean_intervals(values, groups, seed=seed) for seed in (5, 5, 6))
    assert first == again != other


def test_one_group_has_no_interval() -> None:
    found = mean_intervals(np.array([[0.2], [0.4]]), np.array([8, 8]), seed=0)[0]
    assert (found.value, found.n) == (pytest.approx(0.3), 2)
    assert math.isnan(found.low) and math.isnan(found.high)


@pytest.mark.parametrize("values", [np.array([[np.nan], [1.0]]), np.zeros((0, 1)), np.zeros((3, 1)), np.zeros(2)])
def test_values_and_groups_of_different_lengths_raise(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="values"):
        mean_intervals(values, np.arange(2) if len(values) else np.arange(0), seed=0)

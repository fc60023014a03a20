"""Tests of intervals and paired differences against plain loops, with coverage and edge cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toolkit.evaluation import statistics
from toolkit.evaluation.statistics import (
    are_versions,
    mean_intervals,
    paired_difference,
    paired_differences,
)


@pytest.fixture(scope="module")
def clustered() -> tuple[np.ndarray, np.ndarray]:
    """Return values [70, 2] of playlists in 12 groups of unequal size."""
    generator = np.random.default_rng(4)
    groups = generator.integers(0, 12, size=70) * 10
    return generator.normal(size=(70, 2)) + groups[:, None] / 60, groups


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
def test_intervals_equal_plain_loop(
    macro: bool, chunk: int, clustered: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    values, groups = clustered
    monkeypatch.setattr(statistics, "CHUNK_ENTRIES", chunk)
    slow = slow_means(values, groups, seed=9, samples=200, macro=macro)
    of_groups = [values[groups == name].mean(axis=0) for name in np.unique(groups)]
    value = np.mean(of_groups, axis=0) if macro else values.mean(axis=0)
    for column, found in enumerate(mean_intervals(values, groups, seed=9, samples=200, macro=macro)):
        low, high = np.quantile(slow[:, column], [0.025, 0.975])
        assert (found.value, found.low, found.high) == pytest.approx((value[column], low, high))
        assert found.n == (12 if macro else 70)


def test_differences_equal_plain_loop(clustered: tuple[np.ndarray, ...]) -> None:
    values, groups = clustered
    a, b = values[:, 0], values[:, 1]
    slow = slow_means((a - b)[:, None], groups, seed=2, samples=300, macro=False)[:, 0]
    low, high = np.quantile(slow, [0.025, 0.975])
    p = min(1.0, 2 * (min((slow <= 0).sum(), (slow >= 0).sum()) + 1) / 301)
    found = paired_difference(a, b, groups, seed=2, samples=300)
    assert (found.value, found.low, found.high, found.p) == pytest.approx((np.mean(a - b), low, high, p))


def test_macro_mean_matches_hand_computed_value() -> None:
    values, groups = np.array([1.0, 0.0, 0.0, 0.5]), np.array([7, 3, 3, 3])
    found = mean_intervals(np.stack([values, 2 * values], axis=1), groups, seed=0, samples=10, macro=True)
    assert [each.value for each in found] == pytest.approx([(1 + 0.5 / 3) / 2, 7 / 6])


def test_are_versions_detects_repeated_groups() -> None:
    assert are_versions(np.array([1, 2, 1])) and not are_versions(np.array([3, 1, 2]))


def test_group_intervals_cover_known_mean_in_95_percent_of_draws() -> None:
    generator = np.random.default_rng(0)
    covered = {"groups": 0, "lists": 0}
    for trial in range(300):
        sizes = generator.integers(1, 12, size=50)
        groups = np.repeat(np.arange(50), sizes)
        values = (generator.normal(size=50)[groups] + 0.5 * generator.normal(size=len(groups)))[:, None]
        for name, units in (("groups", groups), ("lists", np.arange(len(groups)))):
            found = mean_intervals(values, units, seed=trial, samples=300)[0]
            covered[name] += found.low <= 0 <= found.high
    assert 0.90 <= covered["groups"] / 300 <= 0.98
    assert covered["lists"] / 300 < 0.75


def test_p_values_of_equal_systems_are_calibrated() -> None:
    generator = np.random.default_rng(1)
    groups = np.arange(60)
    small = []
    for trial in range(300):
        a, b = generator.normal(size=(2, 60))
        small.append(paired_difference(a, b, groups, seed=trial, samples=400).p <= 0.05)
    assert 0.02 <= np.mean(small) <= 0.10
    assert paired_difference(a + 3, b, groups, seed=0, samples=400).p == pytest.approx(2 / 401)


def test_equal_systems_have_difference_0_and_p_1() -> None:
    values = np.linspace(0, 1, 30)
    found = paired_difference(values, values.copy(), np.arange(30), seed=0)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_same_seed_gives_same_interval(clustered: tuple[np.ndarray, ...]) -> None:
    first, again, other = (mean_intervals(*clustered, seed=seed) for seed in (5, 5, 6))
    assert first == again != other


def test_one_group_has_no_interval() -> None:
    found = mean_intervals(np.array([[0.2], [0.4]]), np.array([8, 8]), seed=0)[0]
    assert (found.value, found.n) == (pytest.approx(0.3), 2)
    assert math.isnan(found.low) and math.isnan(found.high)
    assert math.isnan(paired_difference(np.ones(2), np.zeros(2), np.array([8, 8]), seed=0).p)


@pytest.mark.parametrize("values", [np.array([[np.nan], [1.0]]), np.zeros((0, 1)), np.zeros((3, 1)), np.zeros(2)])
def test_values_and_groups_of_different_lengths_raise(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="values"):
        mean_intervals(values, np.arange(2) if len(values) else np.arange(0), seed=0)


def test_paired_values_of_different_lengths_raise() -> None:
    with pytest.raises(ValueError, match=r"shapes \(2, 1\) and \(3, 1\) must have the same shape"):
        paired_differences(np.zeros((2, 1)), np.zeros((3, 1)), np.arange(2), seed=0)

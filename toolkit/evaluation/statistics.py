"""Means over playlists with 95 % intervals, and paired differences, by the bootstrap.

A draw resamples playlists. Versions of the same playlist form a group and are drawn together, because they are not
independent and intervals over single versions would be too narrow. Source: Efron and Tibshirani 1993, "An introduction
to the bootstrap", chapters 8 (clusters), 13 (percentile intervals) and 16 (tests).

Values must not be NaN. The caller removes playlists without a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
CHUNK_ENTRIES = 4_000_000
"""Number of draws in memory at once: 32 MB of int64 and 32 MB of float64."""


@dataclass(frozen=True)
class Interval:
    """Mean with the bounds of its 95 % interval, which are NaN with fewer than two groups."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Difference:
    """Mean of a − b over the same playlists, its 95 % interval, and the two-sided p of no difference."""

    value: float
    low: float
    high: float
    p: float
    n: int


def are_versions(groups: np.ndarray) -> bool:
    """Return whether some playlists are versions of the same playlist, in which case groups must be resampled."""
    return len(np.unique(groups)) < len(groups)


def mean_intervals(
    values: np.ndarray, groups: np.ndarray, *, seed: int, samples: int = 1000, macro: bool = False
) -> list[Interval]:
    """Return mean and percentile interval of each column of `values` [n, m], over playlists or groups (`macro`).

    groups: int [n]. A draw samples all groups with replacement. The mean is over all playlists of the drawn groups, or
    over the means of groups with `macro`. All columns use the same draws. The result's n is the number of playlists, or
    of groups with `macro`.
    """
    _check(values, groups)
    sums, sizes = _units(values, groups, macro=macro)
    means = sums.sum(axis=0) / sizes.sum()
    low, high = (
        _bounds(_resampled_means(sums, sizes, seed=seed, samples=samples))
        if len(sizes) > 1
        else np.full((2, len(means)), np.nan)
    )
    return [Interval(float(m), float(a), float(b), int(sizes.sum())) for m, a, b in zip(means, low, high, strict=True)]


def paired_differences(
    a: np.ndarray, b: np.ndarray, groups: np.ndarray, *, seed: int, samples: int = 1000
) -> list[Difference]:
    """Return the difference of each column of `a` and `b` [n, m], resampled as in `mean_intervals`.

    p = 2 min(P(d* <= 0), P(d* >= 0)), each with (count + 1) / (samples + 1), at most 1.
    """
    _check(a, groups)
    if a.shape != b.shape:
        raise ValueError(f"paired values of shapes {a.shape} and {b.shape} must have the same shape")
    values = a - b
    sums, sizes = _units(values, groups, macro=False)
    means = sums.sum(axis=0) / sizes.sum()
    if len(sizes) < 2:
        return [Difference(float(mean), np.nan, np.nan, np.nan, len(values)) for mean in means]
    drawn = _resampled_means(sums, sizes, seed=seed, samples=samples)
    tails = np.minimum((drawn <= 0).sum(axis=0), (drawn >= 0).sum(axis=0))
    p = np.minimum(1.0, 2.0 * (tails + 1) / (samples + 1))
    low, high = _bounds(drawn)
    return [
        Difference(float(mean), float(a), float(b), float(c), len(values))
        for mean, a, b, c in zip(means, low, high, p, strict=True)
    ]


def paired_difference(
    a: np.ndarray, b: np.ndarray, groups: np.ndarray, *, seed: int, samples: int = 1000
) -> Difference:
    """Return the `paired_differences` of a single column. a, b: float [n]."""
    return paired_differences(a[:, None], b[:, None], groups, seed=seed, samples=samples)[0]


def _units(values: np.ndarray, groups: np.ndarray, *, macro: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the resampled units, one per group in ascending order: sums float64 [G, m] and weights [G].

    The mean is the quotient of sums and weights.
    """
    names, index = np.unique(groups, return_inverse=True)
    columns = np.asarray(values, np.float64).T
    sums = np.stack([np.bincount(index, weights=column, minlength=len(names)) for column in columns], axis=1)
    sizes = np.bincount(index).astype(np.float64)
    return (sums / sizes[:, None], np.ones_like(sizes)) if macro else (sums, sizes)


def _resampled_means(sums: np.ndarray, sizes: np.ndarray, *, seed: int, samples: int) -> np.ndarray:
    """Return the means of `samples` draws of the groups, float64 [samples, m]."""
    both = np.concatenate([sums, sizes[:, None]], axis=1)
    drawn = np.concatenate([times @ both for times in _draws(len(sizes), seed=seed, samples=samples)])
    return np.asarray(drawn[:, :-1] / drawn[:, -1:])


def _draws(n: int, *, seed: int, samples: int) -> Iterator[np.ndarray]:
    """Yield how often each of n groups is drawn, in chunks float64 [c, n]. The chunk size does not affect the draws."""
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK_ENTRIES // n)
    for start in range(0, samples, step):
        count = min(step, samples - start)
        drawn = generator.integers(0, n, size=(count, n)) + n * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)


def _bounds(drawn: np.ndarray) -> np.ndarray:
    """Return the lower and upper bounds of each column's interval, float64 [2, m]."""
    return np.asarray(np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0))


def _check(values: np.ndarray, groups: np.ndarray) -> None:
    if values.ndim != 2 or len(values) != len(groups) or not len(values):
        raise ValueError(f"values of shape {values.shape} must have shape (n, m) for n = {len(groups)} groups, n >= 1")
    if np.isnan(values).any():
        raise ValueError("values must not be NaN: remove playlists without a value")

"""Means over playlists, their 95 % intervals and paired differences, by the bootstrap.

A draw resamples playlists. If several lists are versions of one playlist (the same group), the whole group is drawn at
once: such lists are not independent, and intervals over them would be far too narrow. Source: Efron and
Tibshirani 1993, "An introduction to the bootstrap", chapters 8 (clusters), 13
(percentile intervals) and 16 (tests).

Values must not be NaN: the caller leaves out playlists without a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
CHUNK_ENTRIES = 4_000_000
"""Number of draws held at once: 32 MB of int64 and as much of float64."""


@dataclass(frozen=True)
class Interval:
    """A mean with the bounds of its 95 % interval; the bounds are NaN with fewer than two groups."""

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
    """Whether some lists are versions of one playlist, so that groups must be resampled."""
    return len(np.unique(groups)) < len(groups)


def mean_intervals(
    values: np.ndarray, groups: np.ndarray, *, seed: int, samples: int = 1000, macro: bool = False
) -> list[Interval]:
    """Mean and percentile interval of each column of `values` [n, m], over lists or, with `macro`, over groups.

    groups: int [n]. A draw takes as many groups as there are, with replacement. Its mean is over all lists of the drawn
    groups, or over the groups' means. Every column uses the same draws. n counts lists, or groups with `macro`.
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
    """Difference of each column of `a` and `b` [n, m] over the same lists, resampled as in `mean_intervals`.

    p = 2 min(P(d* <= 0), P(d* >= 0)), each with (count + 1) / (samples + 1), at most 1.
    """
    _check(a, groups)
    if a.shape != b.shape:
        raise ValueError(f"paired values must be of the same lists: {a.shape} and {b.shape}")
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
    """`paired_differences` of one column: a, b float [n]."""
    return paired_differences(a[:, None], b[:, None], groups, seed=seed, samples=samples)[0]


def _units(values: np.ndarray, groups: np.ndarray, *, macro: bool) -> tuple[np.ndarray, np.ndarray]:
    """The units of a draw, a group each, in ascending order: sums float64 [G, m] and weights [G].

    Their quotient is the mean.
    """
    names, index = np.unique(groups, return_inverse=True)
    columns = np.asarray(values, np.float64).T
    sums = np.stack([np.bincount(index, weights=column, minlength=len(names)) for column in columns], axis=1)
    sizes = np.bincount(index).astype(np.float64)
    return (sums / sizes[:, None], np.ones_like(sizes)) if macro else (sums, sizes)


def _resampled_means(sums: np.ndarray, sizes: np.ndarray, *, seed: int, samples: int) -> np.ndarray:
    """Means of `samples` draws of the groups: float64 [samples, m]."""
    both = np.concatenate([sums, sizes[:, None]], axis=1)
    drawn = np.concatenate([times @ both for times in _draws(len(sizes), seed=seed, samples=samples)])
    return np.asarray(drawn[:, :-1] / drawn[:, -1:])


def _draws(n: int, *, seed: int, samples: int) -> Iterator[np.ndarray]:
    """Number of times that each of n groups is drawn, in chunks float64 [c, n]. Chunks do not change the draws."""
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK_ENTRIES // n)
    for start in range(0, samples, step):
        count = min(step, samples - start)
        drawn = generator.integers(0, n, size=(count, n)) + n * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)


def _bounds(drawn: np.ndarray) -> np.ndarray:
    """Lower and upper bounds of the interval of each column: float64 [2, m]."""
    return np.asarray(np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0))


def _check(values: np.ndarray, groups: np.ndarray) -> None:
    if values.ndim != 2 or len(values) != len(groups) or not len(values):
        raise ValueError(f"values {values.shape} must be [n, m] with n = {len(groups)} groups, and n >= 1")
    if np.isnan(values).any():
        raise ValueError("values contain NaN: leave out the playlists without a value")

"""Means over playlists with 95 % intervals.

Versions of the same playlist form a group. Groups are independent, versions are not: intervals over single versions
would be too narrow. With few independent playlists the intervals are t intervals. With more, each bound is the farther
one of the t interval and the bootstrap interval (BCa): t intervals miss the mean of sparse values too often, and BCa
intervals that of values with a few extremes (`benchmarks/interval_coverage.py`).

Sources: Efron and Tibshirani 1993, "An introduction to the bootstrap", chapters 8 (clusters), 11 (jackknife) and 14
(BCa); Kish 1965, "Survey sampling", section 8.2 (effective number); Clopper and Pearson 1934 (no spread).

Values must not be NaN. The caller removes playlists without a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

LEVEL = 0.95
FEW = 20.0
"""Independent playlists below which intervals and tests do not rely on the bootstrap."""

CHUNK_ENTRIES = 4_000_000
"""Number of draws in memory at once: 32 MB of int64 and 32 MB of float64."""

Range = tuple[float, float]
"""Lowest and highest possible value of a metric, perhaps infinite."""

ANY: Range = (-np.inf, np.inf)


@dataclass(frozen=True)
class Interval:
    """Mean with the bounds of its 95 % interval, which are NaN with fewer than two groups."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Sample:
    """Independent groups of playlists: sums of the values, float64 [G, m], and sizes, float64 [G].

    A mean is the quotient of both sums. n: number of playlists.
    """

    sums: np.ndarray
    sizes: np.ndarray
    n: int

    @classmethod
    def of(cls, values: np.ndarray, groups: np.ndarray, *, macro: bool = False) -> Self:
        """Return the groups of playlists, in ascending order, with values [n, m].

        - groups: int [n].
        - macro: whether each group counts once, with the mean of its playlists.
        """
        _check(values, groups)
        names, index = np.unique(groups, return_inverse=True)
        columns = np.asarray(values, np.float64).T
        sums = np.stack([np.bincount(index, weights=column, minlength=len(names)) for column in columns], axis=1)
        sizes = np.bincount(index).astype(np.float64)
        if macro:
            return cls(sums / sizes[:, None], np.ones_like(sizes), len(sizes))
        return cls(sums, sizes, len(values))

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self.sizes)

    @cached_property
    def means(self) -> np.ndarray:
        """Mean of each column over all playlists, float64 [m]."""
        return np.asarray(self.sums.sum(axis=0) / self.sizes.sum())

    @property
    def independent(self) -> float:
        """Effective number of groups: this number of groups of equal size has the same variance of the mean."""
        return float(self.sizes.sum() ** 2 / (self.sizes**2).sum())

    @property
    def few(self) -> bool:
        return self.independent < FEW

    @property
    def degrees(self) -> float:
        """Degrees of freedom of a t-test."""
        return max(self.independent - 1, 1.0)

    @cached_property
    def left_out(self) -> np.ndarray:
        """Means without each of the groups in turn, float64 [G, m]."""
        return np.asarray((self.sums.sum(axis=0) - self.sums) / (self.sizes.sum() - self.sizes)[:, None])

    @cached_property
    def errors(self) -> np.ndarray:
        """Standard errors of the means by the jackknife, float64 [m]; for groups of equal size, s / sqrt(G)."""
        spread = ((self.left_out - self.left_out.mean(axis=0)) ** 2).sum(axis=0)
        errors = np.sqrt((len(self) - 1) / len(self) * spread)
        return np.asarray(np.where(self.constant, 0.0, errors))

    @cached_property
    def constant(self) -> np.ndarray:
        """Whether all groups have the same mean, up to rounding: bool [m]."""
        of_groups = self.sums / self.sizes[:, None]
        scale = np.maximum(np.abs(of_groups).max(axis=0), 1.0)
        return np.asarray(np.ptp(of_groups, axis=0) <= 1e-12 * scale)

    def draws(self, *, seed: int, samples: int) -> np.ndarray:
        """Return the means of `samples` bootstrap draws of the groups, float64 [samples, m]."""
        both = np.concatenate([self.sums, self.sizes[:, None]], axis=1)
        drawn = np.concatenate([times @ both for times in _draws(len(self), seed=seed, samples=samples)])
        return np.asarray(drawn[:, :-1] / drawn[:, -1:])


def are_versions(groups: np.ndarray) -> bool:
    """Return whether some playlists are versions of the same playlist, in which case groups must be resampled."""
    return len(np.unique(groups)) < len(groups)


def mean_intervals(
    values: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int,
    samples: int = 1000,
    macro: bool = False,
    ranges: Sequence[Range] = (),
) -> list[Interval]:
    """Return mean and interval of each column of `values` [n, m], over playlists or groups (`macro`).

    - groups: int [n].
    - ranges: possible values of each column, if they are known.

    All columns use the same draws. The result's n is the number of playlists, or of groups with `macro`.
    """
    sample = Sample.of(values, groups, macro=macro)
    drawn = np.zeros((0, 0)) if sample.few else sample.draws(seed=seed, samples=samples)
    low, high = bounds(sample, drawn, np.array(list(ranges) or [ANY] * values.shape[1], np.float64).T)
    return [Interval(float(m), float(a), float(b), sample.n) for m, a, b in zip(sample.means, low, high, strict=True)]


def bounds(sample: Sample, drawn: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Return lower and upper bounds of 95 % intervals, float64 [2, m]; NaN with fewer than two groups.

    - drawn: bootstrap draws, which are not read if the sample is `few`.
    - limits: lowest and highest possible values, float64 [2, m].
    """
    if len(sample) < 2:
        return np.full((2, len(sample.means)), np.nan)
    half = stdtrit(sample.degrees, (1 + LEVEL) / 2) * sample.errors
    low, high = sample.means - half, sample.means + half
    if not sample.few:
        bca = _bca(sample, drawn)
        low, high = np.minimum(low, bca[0]), np.maximum(high, bca[1])
    return np.clip(np.where(sample.constant, _unseen(sample, limits), [low, high]), *limits)


def _unseen(sample: Sample, limits: np.ndarray) -> np.ndarray:
    """Return bounds for values without any spread, which may still hide a share of other values: float64 [2, m].

    5 values of 0 in the range 0…1 have the interval 0…0.52, not 0…0. The bounds are NaN without a range.

    - limits: lowest and highest possible values, float64 [2, m].
    """
    share = 1 - ((1 - LEVEL) / 2) ** (1 / sample.independent)
    found = sample.means + share * (limits - sample.means)
    return np.asarray(np.where(np.isfinite(found).all(axis=0), found, np.nan))


def _bca(sample: Sample, drawn: np.ndarray) -> np.ndarray:
    """Return bias-corrected and accelerated bounds from bootstrap draws, float64 [2, m]."""
    share = ((drawn < sample.means).mean(axis=0) + (drawn <= sample.means).mean(axis=0)) / 2
    bias = ndtri(np.clip(share, 1 / (2 * len(drawn)), 1 - 1 / (2 * len(drawn))))
    pulls = sample.left_out.mean(axis=0) - sample.left_out
    squares = (pulls**2).sum(axis=0)
    skew = np.divide((pulls**3).sum(axis=0), 6 * squares**1.5, out=np.zeros_like(squares), where=squares > 0)
    ends = bias + ndtri([[(1 - LEVEL) / 2], [(1 + LEVEL) / 2]])
    levels = ndtr(bias + ends / (1 - skew * ends))
    return np.stack([np.quantile(column, level) for column, level in zip(drawn.T, levels.T, strict=True)], axis=1)


def _draws(n: int, *, seed: int, samples: int) -> Iterator[np.ndarray]:
    """Yield how often each of n groups is drawn, in chunks float64 [c, n]. The chunk size does not affect the draws."""
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK_ENTRIES // n)
    for start in range(0, samples, step):
        count = min(step, samples - start)
        drawn = generator.integers(0, n, size=(count, n)) + n * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)


def _check(values: np.ndarray, groups: np.ndarray) -> None:
    if values.ndim != 2 or len(values) != len(groups) or not len(values):
        raise ValueError(f"values of shape {values.shape} must have shape (n, m) for n = {len(groups)} groups, n >= 1")
    if np.isnan(values).any():
        raise ValueError("values must not be NaN: remove playlists without a value")

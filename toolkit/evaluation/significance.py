"""Paired differences of two systems: interval, two tests, Holm's correction, and the smallest detectable difference.

With few independent playlists the test is the exact sign-flip test or the t-test, whichever gives the larger p. With
more it is the bootstrap, and the t-test is reported next to it. A difference is shown only if every test agrees.

Sources: Fisher 1935, "The design of experiments", section 21 (sign flips); Efron and Tibshirani 1993, chapter 16
(bootstrap); Holm 1979, "A simple sequentially rejective multiple test procedure"; Cohen 1988, "Statistical power
analysis".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from toolkit.evaluation.statistics import ANY, CHUNK_ENTRIES, Range, Sample, bounds
from toolkit.result_types import Test

LEVEL, POWER = 0.05, 0.8
EXACT = 20
"""Groups up to which all sign flips are counted, 2^19 of them. Larger samples draw flips at random."""


@dataclass(frozen=True)
class Difference:
    """Mean of a − b over the same playlists, with its 95 % interval and tests. NaN with fewer than two groups.

    - p: two-sided p of no difference, by `test`; p_t: by the paired t-test.
    - p_floor: smallest p that `test` can give on this sample.
    - detectable: smallest true difference that is significant (p < .05) in 80 % of tests; NaN if there is none.
    - independent: effective number of independent playlists.
    """

    value: float
    low: float
    high: float
    p: float
    p_t: float
    p_floor: float
    detectable: float
    n: int
    independent: float
    test: Test


def paired_differences(
    a: np.ndarray,
    b: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int,
    samples: int = 1000,
    ranges: Sequence[Range] = (),
) -> list[Difference]:
    """Return the difference of each column of `a` and `b` [n, m], over independent groups.

    - groups: int [n], equal for versions of a playlist.
    - samples: number of bootstrap draws.
    - ranges: possible values of each column of `a` and `b`, if they are known.
    """
    if a.shape != b.shape:
        raise ValueError(f"paired values of shapes {a.shape} and {b.shape} must have the same shape")
    sample = Sample.of(np.asarray(a, np.float64) - np.asarray(b, np.float64), groups)
    m = len(sample.means)
    widths = np.array([most - least for least, most in ranges or [ANY] * m])
    nan = np.full(m, np.nan)
    drawn = np.zeros((0, 0)) if sample.few else sample.draws(seed=seed, samples=samples)
    low, high = bounds(sample, drawn, np.stack([-widths, widths]))
    if len(sample) < 2:
        p, p_t, least, floor = nan, nan, nan, np.nan
    else:
        p_t = _t_test(sample)
        p, floor = _sign_flips(sample, seed=seed, samples=samples) if sample.few else _tails(drawn)
        p = np.maximum(p, p_t) if sample.few else p
        least = _detectable(sample, widths, floor)
    flips: Test = "sign flips" if len(sample) <= EXACT else "random sign flips"
    test = flips if sample.few else "bootstrap"
    return [
        Difference(
            value=float(sample.means[at]),
            low=float(low[at]),
            high=float(high[at]),
            p=float(p[at]),
            p_t=float(p_t[at]),
            p_floor=floor,
            detectable=float(least[at]),
            n=sample.n,
            independent=sample.independent,
            test=test,
        )
        for at in range(m)
    ]


def paired_difference(
    a: np.ndarray, b: np.ndarray, groups: np.ndarray, *, seed: int, samples: int = 1000, value_range: Range = ANY
) -> Difference:
    """Return the `paired_differences` of a single column. a, b: float [n]."""
    return paired_differences(a[:, None], b[:, None], groups, seed=seed, samples=samples, ranges=[value_range])[0]


def holm(p: np.ndarray) -> np.ndarray:
    """Return Holm's corrected p-values of m tests, float [m], at most 1 and in the same order.

    NaN is kept and not counted as a test.
    """
    adjusted = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def _t_test(sample: Sample) -> np.ndarray:
    # no spread: the difference is zero, or the same everywhere
    same = np.where(np.abs(sample.means) <= 1e-12, 0.0, np.inf)
    t = np.divide(sample.means, sample.errors, out=same, where=sample.errors > 0)
    return np.asarray(2 * stdtr(sample.degrees, -np.abs(t)))


def _tails(drawn: np.ndarray) -> tuple[np.ndarray, float]:
    """Return p = 2 min(P(d* <= 0), P(d* >= 0)) of bootstrap draws, and the smallest possible p."""
    least = np.minimum((drawn <= 0).sum(axis=0), (drawn >= 0).sum(axis=0))
    return np.minimum(1.0, 2.0 * (least + 1) / (len(drawn) + 1)), 2.0 / (len(drawn) + 1)


def _sign_flips(sample: Sample, *, seed: int, samples: int) -> tuple[np.ndarray, float]:
    """Return the share of sign flips of the groups with a sum at least as large, and the smallest possible p.

    All flips are counted for at most `EXACT` groups. Otherwise `samples` flips are drawn, and the observed signs count
    as one more.
    """
    sums = sample.sums
    observed = np.abs(sums.sum(axis=0)) - 1e-9 * np.abs(sums).sum(axis=0)  # equal sums may differ by rounding
    if len(sums) > EXACT:
        signs = np.random.default_rng(seed).integers(0, 2, size=(samples, len(sums))) * 2.0 - 1
        extreme = (np.abs(signs @ sums) >= observed).sum(axis=0)
        return (extreme + 1) / (samples + 1), 1 / (samples + 1)
    flips = 2 ** (len(sums) - 1)  # the first sign is fixed, because a flip of all signs has the same size
    step = max(1, CHUNK_ENTRIES // flips)
    parts = [_counted(sums[:, at : at + step], observed[at : at + step]) for at in range(0, len(observed), step)]
    return np.concatenate(parts) / flips, 1 / flips


def _counted(sums: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return how many of all sign flips have a sum of at least `observed`, int64 [m]."""
    flipped = sums[:1]
    for row in sums[1:]:
        flipped = np.concatenate([flipped + row, flipped - row])
    return (np.abs(flipped) >= observed).sum(axis=0)


def _detectable(sample: Sample, widths: np.ndarray, floor: float) -> np.ndarray:
    """Return the smallest detectable differences, NaN where no possible difference is detectable."""
    needed = stdtrit(sample.degrees, 1 - LEVEL / 2) + stdtrit(sample.degrees, POWER)
    least = needed * sample.errors
    possible = (least <= widths) & (floor < LEVEL) & ~sample.constant
    return np.asarray(np.where(possible, least, np.nan))

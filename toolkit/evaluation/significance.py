"""Paired t-test with groups, Holm's correction, and the smallest detectable difference.

Sources: Cochran 1977, "Sampling techniques", section 6.4 (variance of a mean over groups as a ratio estimator);
Holm 1979, "A simple sequentially rejective multiple test procedure"; Cohen 1988, "Statistical power analysis".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVEL, POWER = 0.05, 0.8


@dataclass(frozen=True)
class PairedT:
    """Two-sided p of no difference, and the true difference that is significant (p < .05) in 80 % of tests.

    Both are NaN with fewer than two groups.
    """

    p: float
    detectable: float


def paired_t(a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> list[PairedT]:
    """Return the paired t-test of each column of `a` and `b` (float [n, m]) over the same playlists.

    groups: int [n], group of versions of each playlist. If all groups differ, this is the ordinary test. Otherwise the
    standard error is that of a ratio of group sums to group sizes, with G - 1 degrees of freedom.
    """
    from scipy import stats

    values = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    names, index = np.unique(groups, return_inverse=True)
    n, degrees = len(names), len(names) - 1
    if degrees < 1:
        return [PairedT(np.nan, np.nan)] * values.shape[1]
    sizes = np.bincount(index).astype(np.float64)
    sums = np.stack([np.bincount(index, weights=column, minlength=n) for column in values.T], axis=1)
    means = values.mean(axis=0)
    residuals = (sums - means * sizes[:, None]) / sizes.mean()
    errors = np.sqrt((residuals**2).sum(axis=0) / degrees / n)
    # no spread: the difference is either nothing at all or the same everywhere
    t = np.divide(means, errors, out=np.where(means == 0, 0.0, np.inf), where=errors > 0)
    p = 2 * stats.t.sf(np.abs(t), degrees)
    detectable = (stats.t.ppf(1 - LEVEL / 2, degrees) + stats.t.ppf(POWER, degrees)) * errors
    return [PairedT(float(each), float(least)) for each, least in zip(p, detectable, strict=True)]


def holm(p: np.ndarray) -> np.ndarray:
    """Return Holm's corrected p-values of m tests, float [m], at most 1 and in the same order.

    NaN is kept and not counted as a test.
    """
    adjusted = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted

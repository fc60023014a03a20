"""Factor analysis by expectation-maximisation, for data with missing modalities.

The model is x = μ + W z + e, with z standard normal [r] and e normal with variances ψ, a Gaussian with low rank plus a
diagonal. Source: Rubin and Thayer 1982, "EM algorithms for ML factor analysis". With missing blocks, the sums for each
combination of modalities are completed separately (Little and Rubin 2019, "Statistical analysis with missing data",
section 11.3). Values are assumed to be missing at random, given the present values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from toolkit.fusion.moments import Has, Moments

ITERATIONS = 500
TOLERANCE = 1e-5  # EM stops when the log-likelihood per track gains less than this

FLOOR = 1e-6
"""Least ψ as a share of the mean variance: a factor that explains a column completely would divide by zero."""


@dataclass(frozen=True)
class Factors:
    """Fitted model: mean μ [D], loadings W [D, r], noise ψ [D], all float64.

    - likelihood: log-likelihood after each iteration.
    """

    mean: np.ndarray
    loadings: np.ndarray
    noise: np.ndarray
    likelihood: tuple[float, ...] = ()

    def posterior(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the posterior of z for some columns: G [r, D'] with E[z | x] = G (x − μ), and covariance [r, r]."""
        scaled = self.loadings[columns].T / self.noise[columns]
        covariance = np.linalg.inv(np.eye(len(scaled)) + scaled @ self.loadings[columns])
        return covariance @ scaled, covariance


def fit(moments: Moments, rank: int) -> Factors:
    """Return the maximum likelihood model for the moments. The rank is less than D and the number of tracks."""
    total = sum(sums[-1, -1] for sums in moments.sums.values())
    width = sum(moments.widths)
    if not total:
        return Factors(np.zeros(width), np.zeros((width, 0)), np.ones(width))
    factors = _start(moments, max(0, min(rank, width - 1, int(total) - 1)))
    history: list[float] = []
    floor = FLOOR * float((factors.noise + (factors.loadings**2).sum(axis=1)).mean()) + np.finfo(float).tiny
    while len(history) < ITERATIONS and not (len(history) > 1 and history[-1] - history[-2] < TOLERANCE * total):
        factors, likelihood = _step(moments, factors, floor)
        history.append(likelihood)
    return replace(factors, likelihood=tuple(history))


def _start(moments: Moments, rank: int) -> Factors:
    """Return initial means and principal axes. Covariances of two modalities use the tracks that have both."""
    widths = moments.widths
    edges = np.concatenate([[0], np.cumsum(widths)])
    covariance, mean = (
        np.zeros((edges[-1], edges[-1])),
        np.concatenate([moments.mean(place) for place in range(len(widths))]),
    )
    for first in range(len(widths)):
        for second in range(first + 1):
            sums = moments.together([place in (first, second) for place in range(len(widths))])
            count = max(sums[-1, -1], 1.0)
            centred = sums[:-1, :-1] / count - np.outer(sums[:-1, -1], sums[:-1, -1]) / count**2
            rows, columns = slice(edges[first], edges[first + 1]), slice(edges[second], edges[second + 1])
            # the sums hold the earlier modality first
            block = centred if first == second else centred[widths[second] :, : widths[second]]
            covariance[rows, columns] = block
            covariance[columns, rows] = block.T
    variance = covariance.diagonal()
    values, axes = (
        scipy.linalg.eigh(covariance, subset_by_index=[edges[-1] - rank, edges[-1] - 1])
        if rank
        else (np.zeros(0), np.zeros((edges[-1], 0)))
    )
    rest = max(float(variance.sum() - values.sum()) / max(1, edges[-1] - rank), 0.0)
    loadings = axes * np.sqrt(np.maximum(values - rest, 1e-3 * variance.mean()))
    noise = np.maximum(variance - (loadings**2).sum(axis=1), 0.01 * variance)
    return Factors(mean, loadings, np.maximum(noise, FLOOR * variance.mean() + np.finfo(float).tiny))


def _step(moments: Moments, now: Factors, floor: float) -> tuple[Factors, float]:
    """Return the model after one iteration, and the log-likelihood before it."""
    rank, width = now.loadings.shape[1], len(now.mean)
    latent = np.zeros((len(moments.widths), rank + 1, rank + 1))
    crossed, squares, counts = np.zeros((width, rank + 1)), np.zeros(width), np.zeros(len(moments.widths))
    likelihood = 0.0
    for has, sums in moments.sums.items():
        columns = moments.columns(has)
        gain, covariance = now.posterior(columns)
        project = np.zeros((rank + 1, len(columns) + 1))
        project[:rank, :-1], project[:rank, -1], project[rank, -1] = gain, -gain @ now.mean[columns], 1.0
        count = sums[-1, -1]
        expected = project @ sums @ project.T
        expected[:rank, :rank] += count * covariance
        latent[list(has)] += expected
        crossed[columns] += sums[:-1] @ project.T
        squares[columns] += sums.diagonal()[:-1]
        counts[list(has)] += count
        likelihood += _likelihood(sums, now, columns, covariance)
    owner = np.repeat(np.arange(len(counts)), moments.widths)
    weights = np.zeros((width, rank + 1))
    for place in np.flatnonzero(counts):
        rows = owner == place
        weights[rows] = np.linalg.solve(latent[place], crossed[rows].T).T
    noise = (squares - (weights * crossed).sum(axis=1)) / np.maximum(counts[owner], 1.0)
    return Factors(weights[:, rank], weights[:, :rank], np.maximum(noise, floor)), likelihood


def _likelihood(sums: np.ndarray, now: Factors, columns: np.ndarray, covariance: np.ndarray) -> float:
    """Return the log-likelihood for the tracks with one combination of modalities, by Woodbury's identity."""
    mean, noise, loadings, count = now.mean[columns], now.noise[columns], now.loadings[columns], sums[-1, -1]
    first = sums[:-1, -1]
    scatter = sums[:-1, :-1] - np.outer(mean, first) - np.outer(first, mean) + count * np.outer(mean, mean)
    scaled = loadings.T / noise
    squares = (scatter.diagonal() / noise).sum() - np.trace(covariance @ (scaled @ scatter @ scaled.T))
    volume = np.log(2 * np.pi * noise).sum() - np.linalg.slogdet(covariance)[1]
    return float(-0.5 * (count * volume + squares))


def conditional(factors: Factors, moments: Moments, has: Has, modality: int) -> tuple[np.ndarray, np.ndarray]:
    """Return E[x_m | present columns] as weights [D', d] and constant [d]: μ_m + W_m G (x − μ)."""
    columns, target = moments.columns(has), moments.columns([place == modality for place in range(len(has))])
    weights = (factors.loadings[target] @ factors.posterior(columns)[0]).T
    return weights, factors.mean[target] - factors.mean[columns] @ weights

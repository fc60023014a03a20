"""Solver of a hierarchical linear model of taste over content, with and without item factors.

Source: Wang and Wang, "Improving content-based and hybrid music recommendation using deep learning", 2014: r_uv =
β_u·x_v + γ_u·y_v, where r is 1 for played tracks and 0 otherwise. β_u is normal about a common taste μ (their
hierarchical linear model over features x from a deep belief network), and γ_u and y_v are normal about zero
(probabilistic matrix factorisation: Salakhutdinov and Mnih 2007). Without y the model is their content-based model,
without x plain PMF.

Differences from the paper: the paper draws some of the zeros. Here all training tracks that a user did not play are
used, with their average weight in the paper: `negatives` times the user's plays in total. Users, items and μ are solved
in turn in closed form and not by stochastic steps, because the network that computes x was trained without users and is
fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from segue_papers.rankers.row_solver import solve_rows

BLOCK = 2**17
"""Plays whose products are computed at once."""


@dataclass(frozen=True)
class Weights:
    """Weights of the terms of the objective.

    - ridge: weight of |β − μ|².
    - factor_ridge: weight of |γ|² and |y|².
    - negatives: total weight of a user's unplayed tracks, divided by the weight of the user's plays.
    """

    ridge: float
    factor_ridge: float
    negatives: float


@dataclass(frozen=True)
class Taste:
    """Fitted model, in which a score is the product of a user's row and an item's row.

    - items: the columns of x and y, float64 [V + 1, d + k].
    - prior: the prior of users, μ and zeros, float64 [d + k].

    y is scaled so that the ridge of users is `Weights.ridge` in all columns.
    """

    items: np.ndarray
    prior: np.ndarray


def fit_taste(
    plays: sp.csr_matrix,
    content: np.ndarray,
    known: np.ndarray,
    weights: Weights,
    *,
    k: int,
    iterations: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Taste:
    """Fit the model.

    - plays: sparse [n, V + 1]. All stored entries count as one play.
    - content: x, float [V + 1, d]; d may be 0.
    - known: tracks that could have been played, bool [V + 1].
    - k: number of factors next to the content, 0 for none.
    - iterations, seed: steps over users, items and μ; seed of the first items.
    - progress: called with the iterations done and all iterations.
    """
    played = sp.csr_matrix((np.ones(plays.nnz), plays.indices, plays.indptr), plays.shape)
    width, scale = content.shape[1], np.sqrt(weights.factor_ridge / weights.ridge)
    start = np.random.default_rng(seed).normal(0, 0.1, (len(known), k)) * known[:, None]
    items = np.concatenate([content, start / scale], axis=1).astype(np.float64)
    prior = np.zeros(width + k)
    if width:
        prior[:width] = _first_taste(played, items[:, :width], known, weights)
    for step in range(iterations):
        users = fold_in(played, Taste(items, prior), known, weights)
        if k:
            items[:, width:] = _item_factors(played, users, content, known, weights, scale) / scale
        prior[:width] = users[:, :width].mean(axis=0)
        if progress is not None:
            progress(step + 1, iterations)
    return Taste(items, prior)


def fold_in(plays: sp.csr_matrix, taste: Taste, known: np.ndarray, weights: Weights) -> np.ndarray:
    """Return users float64 [B, d + k] from their plays [B, V + 1], as the best fit with fixed items."""
    played = _played(plays, known)
    return solve_rows(
        taste.items,
        played,
        ridge=weights.ridge,
        prior=taste.prior,
        rows_weight=_absent(played, known, weights),
        columns_weight=known,
    )


def error(plays: sp.csr_matrix, taste: Taste, known: np.ndarray, weights: Weights) -> float:
    """Return the root of the weighted mean squared error over played and other training tracks."""
    played = _played(plays, known)
    users, absent = fold_in(plays, taste, known, weights), _absent(played, known, weights)
    gram = (taste.items * known[:, None]).T @ taste.items
    scores = _scores(played, users, taste.items)
    rows = np.repeat(np.arange(played.shape[0]), np.diff(played.indptr))
    total = (
        np.square(1 - scores).sum()
        + float(absent @ np.einsum("nk,kl,nl->n", users, gram, users))
        - (absent[rows] * scores**2).sum()
    )
    return float(np.sqrt(total / (played.nnz + absent @ (known.sum() - np.diff(played.indptr)))))


def _played(plays: sp.csr_matrix, known: np.ndarray) -> sp.csr_matrix:
    """Return the plays of known tracks as ones."""
    ones = known[plays.indices].astype(np.float64)
    played = sp.csr_matrix((ones, plays.indices, plays.indptr), plays.shape, copy=True)
    played.eliminate_zeros()
    return played


def _absent(played: sp.csr_matrix, known: np.ndarray, weights: Weights) -> np.ndarray:
    """Return the weight of each known track that a user did not play: float64 [n]."""
    counts = np.diff(played.indptr)
    return np.asarray(weights.negatives * counts / np.maximum(known.sum() - counts, 1))


def _first_taste(played: sp.csr_matrix, content: np.ndarray, known: np.ndarray, weights: Weights) -> np.ndarray:
    """Return the initial μ, with the same β for all users."""
    played = _played(played, known)
    counts = np.asarray(played.sum(axis=0)).ravel()
    absent = _absent(played, known, weights)
    not_played = absent.sum() - np.asarray(played.T @ absent).ravel()
    mass = (counts + not_played) * known
    return np.asarray(
        np.linalg.solve(
            (content * mass[:, None]).T @ content + weights.ridge * np.eye(content.shape[1]),
            content.T @ (counts * known),
        )
    )


def _item_factors(
    played: sp.csr_matrix, users: np.ndarray, content: np.ndarray, known: np.ndarray, weights: Weights, scale: float
) -> np.ndarray:
    """Return y, float64 [V + 1, k], fitted to the residual of content. Rows of unknown tracks are zero."""
    played = _played(played, known)
    absent, width = _absent(played, known, weights), content.shape[1]
    beta, gamma = users[:, :width], users[:, width:] / scale
    by_item = sp.csr_matrix(played.T)
    explained = _scores(by_item, content, beta)
    by_item.data = 1 - explained + absent[by_item.indices] * explained
    added = -(content @ ((beta * absent[:, None]).T @ gamma)) if width else None
    factors = solve_rows(
        gamma,
        by_item,
        ridge=weights.factor_ridge,
        rows_weight=known.astype(np.float64),
        columns_weight=absent,
        added=added,
    )
    return factors * known[:, None]


def _scores(pairs: sp.csr_matrix, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return left_r · right_c for each stored pair: float64 [nnz]."""
    rows, out = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr)), np.zeros(pairs.nnz)
    for start in range(0, pairs.nnz, BLOCK):
        part = slice(start, start + BLOCK)
        out[part] = np.einsum("nk,nk->n", left[rows[part]], right[pairs.indices[part]])
    return out

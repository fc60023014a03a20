"""A hierarchical linear model of taste over content, with and without factors of its own: the mathematics.

Source: Wang and Wang, "Improving content-based and hybrid music recommendation using deep learning", 2014: r_uv = β_u·x_v + γ_u·y_v,
r 1 for what a user played and 0 for what not, β_u normal about a taste μ common to all (their hierarchical linear model over deep belief
network features x), γ_u and y_v normal about zero (probabilistic matrix factorisation: Salakhutdinov and Mnih 2007). Without y it is
their content-based model, without x plain PMF.

Where this is not the paper's: of the zeros the paper draws some; here each track of training that a user did not play has the weight
that it would have on average, `negatives` times their plays over all such tracks, which needs no draw. All is solved in closed form in
turn (users, items, μ), not by stochastic steps: the network that makes x was trained without users and stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from segue_papers.rankers.row_solver import solve_rows

BLOCK = 2**17
"""Plays whose products are made at once."""


@dataclass(frozen=True)
class Weights:
    """ridge: of β about μ. factor_ridge: of γ and y about zero. negatives: weight of all a user did not play over that of what they did."""

    ridge: float
    factor_ridge: float
    negatives: float


@dataclass(frozen=True)
class Taste:
    """A score is a user's row times an item's. items float64 [V + 1, d + k]: x beside y; prior [d + k]: μ beside zeros.

    Both are scaled so that one ridge, `Weights.ridge`, does for users.
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
    """Learn from plays [n, V + 1] (what is stored was played). content: x, float [V + 1, d], d may be 0. known: bool [V + 1], tracks
    that could have been played. k: factors beside the content, 0 for none."""
    played = sp.csr_matrix((np.ones(plays.nnz), plays.indices, plays.indptr), plays.shape)
    width, scale = content.shape[1], np.sqrt(weights.factor_ridge / weights.ridge)
    start = np.random.default_rng(seed).normal(0, 0.1, (len(known), k)) * known[:, None]
    items = np.concatenate([content, start / scale], axis=1).astype(np.float64)
    prior = np.zeros(width + k)
    if width:
        prior[:width] = _common(played, items[:, :width], known, weights)
    for step in range(iterations):
        users = fold_in(played, Taste(items, prior), known, weights)
        if k:
            items[:, width:] = _item_factors(played, users, content, known, weights, scale) / scale
        prior[:width] = users[:, :width].mean(axis=0)
        if progress is not None:
            progress(step + 1, iterations)
    return Taste(items, prior)


def fold_in(plays: sp.csr_matrix, taste: Taste, known: np.ndarray, weights: Weights) -> np.ndarray:
    """Users float64 [B, d + k] by what they played, [B, V + 1]: those that explain it best with the items held."""
    heard = _heard(plays, known)
    return solve_rows(
        taste.items,
        heard,
        ridge=weights.ridge,
        prior=taste.prior,
        rows_weight=_absent(heard, known, weights),
        columns_weight=known,
    )


def error(plays: sp.csr_matrix, taste: Taste, known: np.ndarray, weights: Weights) -> float:
    """Root of the weighted mean squared error over played and other tracks of training."""
    heard = _heard(plays, known)
    users, absent = fold_in(plays, taste, known, weights), _absent(heard, known, weights)
    gram = (taste.items * known[:, None]).T @ taste.items
    scores = _scores(heard, users, taste.items)
    rows = np.repeat(np.arange(heard.shape[0]), np.diff(heard.indptr))
    total = (
        np.square(1 - scores).sum()
        + float(absent @ np.einsum("nk,kl,nl->n", users, gram, users))
        - (absent[rows] * scores**2).sum()
    )
    return float(np.sqrt(total / (heard.nnz + absent @ (known.sum() - np.diff(heard.indptr)))))


def _heard(plays: sp.csr_matrix, known: np.ndarray) -> sp.csr_matrix:
    """What was played of the known tracks, as ones."""
    heard = sp.csr_matrix(
        (known[plays.indices].astype(np.float64), plays.indices, plays.indptr), plays.shape, copy=True
    )
    heard.eliminate_zeros()
    return heard


def _absent(heard: sp.csr_matrix, known: np.ndarray, weights: Weights) -> np.ndarray:
    """Weight of each track that a user did not play: float64 [n]."""
    counts = np.diff(heard.indptr)
    return np.asarray(weights.negatives * counts / np.maximum(known.sum() - counts, 1))


def _common(played: sp.csr_matrix, content: np.ndarray, known: np.ndarray, weights: Weights) -> np.ndarray:
    """μ to begin with: one β for all users."""
    heard = _heard(played, known)
    counts = np.asarray(heard.sum(axis=0)).ravel()
    absent = _absent(heard, known, weights)
    every = absent.sum() - np.asarray(heard.T @ absent).ravel()
    mass = (counts + every) * known
    return np.asarray(
        np.linalg.solve(
            (content * mass[:, None]).T @ content + weights.ridge * np.eye(content.shape[1]),
            content.T @ (counts * known),
        )
    )


def _item_factors(
    played: sp.csr_matrix, users: np.ndarray, content: np.ndarray, known: np.ndarray, weights: Weights, scale: float
) -> np.ndarray:
    """y, float64 [V + 1, k], of what content leaves: zero for tracks not known."""
    heard = _heard(played, known)
    absent, width = _absent(heard, known, weights), content.shape[1]
    beta, gamma = users[:, :width], users[:, width:] / scale
    by_item = sp.csr_matrix(heard.T)
    explained = _scores(by_item, content, beta)
    by_item.data = 1 - explained + absent[by_item.indices] * explained
    added = -(content @ ((beta * absent[:, None]).T @ gamma)) if width else None
    found = solve_rows(
        gamma,
        by_item,
        ridge=weights.factor_ridge,
        rows_weight=known.astype(np.float64),
        columns_weight=absent,
        added=added,
    )
    return found * known[:, None]


def _scores(pairs: sp.csr_matrix, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left_r · right_c of every stored pair: float64 [nnz]."""
    rows, out = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr)), np.zeros(pairs.nnz)
    for start in range(0, pairs.nnz, BLOCK):
        part = slice(start, start + BLOCK)
        out[part] = np.einsum("nk,nk->n", left[rows[part]], right[pairs.indices[part]])
    return out

"""Solver of a matrix factorisation with item priors predicted from content.

Source: Liang, Zhan and Ellis, "Content-aware collaborative music recommendation using pre-trained neural networks",
2015, section 3: θ_u is normal about zero and β_i about W h_i, with h the last hidden layer of a network that predicts
tags. W is normal about zero, and the squared errors of implicit feedback are weighted by the confidence c of Hu, Koren
and Volinsky 2008. Point estimates are computed in turn, in closed form, as in the paper. A track without plays has the
factors W h_i.

Differences from the paper: the confidence is 1 + α log(1 + r / ε) as in the other rankers, where the paper has two
constants. A constant column is added to h, so W also predicts the mean.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from segue_papers.rankers.row_solver import solve_rows


def fit_content_prior(
    confidence: sp.csr_matrix,
    content: np.ndarray,
    present: np.ndarray,
    *,
    k: int,
    user_ridge: float,
    item_ridge: float,
    content_ridge: float,
    iterations: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return items β float64 [V + 1, k], with unplayed items at their prior, and W [d + 1, k].

    - confidence: c of the played tracks, [n, V + 1].
    - content: h, float [V + 1, d].
    - present: tracks with content, bool [V + 1]. Other tracks have zero as their prior.
    - k: number of factors.
    - user_ridge, item_ridge, content_ridge: weights of |θ_u|², |β_i − W h_i|² and |W|².
    - iterations: steps over users, items and W.
    - seed: seed of the first items.
    - progress: called with the iterations done and all iterations.
    """
    h = np.concatenate([content, np.ones((len(content), 1))], axis=1) * present[:, None]
    played, by_item = _ones(confidence), sp.csr_matrix(confidence.T)
    known = np.diff(by_item.indptr) > 0
    trained = known & present
    gram = item_ridge * h[trained].T @ h[trained] + content_ridge * np.eye(h.shape[1])
    items = np.random.default_rng(seed).normal(0, 0.1, (len(known), k)) * known[:, None]
    w = np.zeros((h.shape[1], k))
    for step in range(iterations):
        users = solve_rows(
            items, played, ridge=user_ridge, weights=confidence.data, rows_weight=1.0, columns_weight=known
        )
        played_items = solve_rows(
            users, _ones(by_item), ridge=item_ridge, weights=by_item.data, rows_weight=1.0, prior=h @ w
        )
        items = np.where(known[:, None], played_items, 0)
        w = np.linalg.solve(gram, item_ridge * h[trained].T @ items[trained])
        if progress is not None:
            progress(step + 1, iterations)
    return np.where(known[:, None], items, h @ w), w


def _ones(matrix: sp.csr_matrix) -> sp.csr_matrix:
    return sp.csr_matrix((np.ones(matrix.nnz), matrix.indices, matrix.indptr), matrix.shape)

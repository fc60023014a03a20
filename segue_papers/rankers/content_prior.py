"""Matrix factorisation whose items are drawn about what their content predicts: the mathematics.

Source: Liang, Zhan and Ellis, "Content-aware collaborative music recommendation using pre-trained neural networks", 2015, section 3:
θ_u normal about zero, β_i about W h_i with h the last hidden layer of a network taught tags, W normal about zero, and weighted squared
errors of implicit feedback under the confidence c of Hu, Koren and Volinsky 2008. Point estimates in turn, in closed form, as there.
A track without plays has W h_i alone.

Where this is not the paper's: confidence is 1 + α log(1 + r / ε) as everywhere here, where the paper has two constants; and a constant
stands beside h, so that W predicts the mean too.
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
    """Items β float64 [V + 1, k], those without plays at their prior; and W [d + 1, k].

    confidence: c [n, V + 1] of what was played. content: h, float [V + 1, d]; present: bool [V + 1], who has it. Tracks without
    content have zero as their prior.
    """
    h = np.concatenate([content, np.ones((len(content), 1))], axis=1) * present[:, None]
    played, by_item = _ones(confidence), sp.csr_matrix(confidence.T)
    known = np.diff(by_item.indptr) > 0
    taught = known & present
    gram = item_ridge * h[taught].T @ h[taught] + content_ridge * np.eye(h.shape[1])
    items = np.random.default_rng(seed).normal(0, 0.1, (len(known), k)) * known[:, None]
    w = np.zeros((h.shape[1], k))
    for step in range(iterations):
        users = solve_rows(
            items, played, ridge=user_ridge, weights=confidence.data, rows_weight=1.0, columns_weight=known
        )
        found = solve_rows(users, _ones(by_item), ridge=item_ridge, weights=by_item.data, rows_weight=1.0, prior=h @ w)
        items = np.where(known[:, None], found, 0)
        w = np.linalg.solve(gram, item_ridge * h[taught].T @ items[taught])
        if progress is not None:
            progress(step + 1, iterations)
    return np.where(known[:, None], items, h @ w), w


def _ones(matrix: sp.csr_matrix) -> sp.csr_matrix:
    return sp.csr_matrix((np.ones(matrix.nnz), matrix.indices, matrix.indptr), matrix.shape)

"""Closed-form least squares for the rows of a factorisation, with fixed factors and a prior for each row.

Used by the rankers of Wang and Wang 2014 and of Liang, Zhan and Ellis 2015. Source: Hu, Koren and Volinsky 2008,
section 4 (the sum over all pairs by the product of the fixed factors with themselves).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

BLOCK = 2**23
"""Factors that are gathered at once: 64 MB."""
MOST_ROWS = 1024
"""Rows that are solved at once, at most."""


def solve_rows(
    fixed: np.ndarray,
    targets: sp.csr_matrix,
    *,
    ridge: float,
    weights: np.ndarray | None = None,
    rows_weight: float | np.ndarray = 0.0,
    columns_weight: np.ndarray | None = None,
    prior: np.ndarray | None = None,
    added: np.ndarray | None = None,
) -> np.ndarray:
    """Return the rows z, float64 [n, k], that minimise the weighted squared errors of all pairs.

    Row r minimises Σ_stored w_j (t_j − z·f_j)² + Σ_others b_rj (z·f_j)² + ridge · |z − prior_r|² − 2 z·added_r.

    - fixed: f, float [m, k].
    - targets: t of the stored pairs, sparse [n, m]. The targets of other pairs are 0.
    - weights: w of the stored pairs, in their order; default: 1.
    - rows_weight, columns_weight: factors of b, [n] or a number (default: 0), and [m] (default: 1).
    - prior, added: [n, k] or [k]; default: 0.
    """
    fixed = np.asarray(fixed, np.float64)
    rows, width = targets.shape[0], fixed.shape[1]
    own = np.broadcast_to(np.asarray(rows_weight, np.float64), (rows,))
    columns = np.ones(len(fixed)) if columns_weight is None else np.asarray(columns_weight, np.float64)
    weight = np.ones(targets.nnz) if weights is None else np.asarray(weights, np.float64)
    pull = ridge * _table(prior, rows, width) + _table(added, rows, width)
    shared = (fixed * columns[:, None]).T @ fixed
    out = np.empty((rows, width))
    for chosen, entries, inside in _blocks(targets.indptr, width):
        factors = fixed[targets.indices[entries]] * inside[..., None]  # (rows, stored, k)
        heavy, others = weight[entries], own[chosen][:, None] * columns[targets.indices[entries]]
        products = np.matmul((factors * (heavy - others)[..., None]).transpose(0, 2, 1), factors)
        products += own[chosen][:, None, None] * shared + ridge * np.eye(width)
        sums = np.einsum("rsk,rs->rk", factors, heavy * targets.data[entries])
        out[chosen] = np.linalg.solve(products, (sums + pull[chosen])[..., None])[..., 0]
    empty = np.flatnonzero(np.diff(targets.indptr) == 0)
    for start in range(0, len(empty), MOST_ROWS):
        chosen = empty[start : start + MOST_ROWS]
        products = own[chosen][:, None, None] * shared + ridge * np.eye(width)
        out[chosen] = np.linalg.solve(products, pull[chosen][..., None])[..., 0]
    return out


def _table(values: np.ndarray | None, rows: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.zeros(width) if values is None else np.asarray(values, np.float64), (rows, width))


def _blocks(indptr: np.ndarray, width: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield blocks of rows with similar numbers of stored pairs.

    A block is the rows int64 [r], their entries int64 [r, most], and which entries exist, bool [r, most].
    """
    lengths = np.diff(indptr)
    order = np.argsort(lengths, kind="stable")
    at = int((lengths == 0).sum())
    while at < len(order):
        longest = int(lengths[order[min(len(order), at + MOST_ROWS) - 1]])
        chosen = order[at : at + max(1, min(MOST_ROWS, BLOCK // (width * max(width, longest))))]
        entries = indptr[chosen][:, None] + np.arange(int(lengths[chosen].max()))
        inside = entries < indptr[chosen + 1][:, None]
        yield chosen, np.where(inside, entries, 0), inside
        at += len(chosen)

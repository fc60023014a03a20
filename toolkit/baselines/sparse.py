"""Sparse arithmetic of the baselines; nothing here is ever V x V and dense."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp


def top_per_row(matrix: sp.csr_matrix, n: int) -> sp.csr_matrix:
    """The n largest stored entries of each row; ties go to the smaller column."""
    sizes = np.diff(matrix.indptr)
    if not len(sizes) or sizes.max() <= n:
        return matrix
    rows = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    order = order[np.arange(len(rows)) - matrix.indptr[rows] < n]
    kept = sp.csr_matrix((matrix.data[order], (rows[order], matrix.indices[order])), matrix.shape)
    kept.sort_indices()
    return kept


def blocks_of(costs: np.ndarray, budget: float) -> Iterator[tuple[int, int]]:
    """Consecutive ranges start…stop of summed cost at most `budget`, each of at least one element."""
    total = np.concatenate([[0.0], np.cumsum(costs, dtype=np.float64)])
    start = 0
    while start < len(costs):
        stop = max(start + 1, int(np.searchsorted(total, total[start] + budget, side="right")) - 1)
        yield start, stop
        start = stop


def by_item(plays: sp.csr_matrix) -> sp.csr_matrix:
    """Playlists x items turned to items x playlists, so that a block of items is a cut of rows."""
    return plays.T.tocsr()


def product_scorer(weights: sp.csr_matrix, rows: sp.csr_matrix) -> Callable[[np.ndarray], np.ndarray]:
    """Scores of items: `weights` [B, m] times the items' `rows` [V + 1, m], float32 [B, n]."""

    def score(items: np.ndarray) -> np.ndarray:
        return np.asarray((weights @ rows[items].T).toarray(), np.float32)

    return score


def packed(matrix: sp.csr_matrix, prefix: str) -> dict[str, np.ndarray]:
    """A CSR matrix as named arrays, for a fitted state."""
    shape = np.array(matrix.shape, np.int64)
    return {
        f"{prefix}.{part}": array
        for part, array in (("data", matrix.data), ("indices", matrix.indices), ("indptr", matrix.indptr), ("shape", shape))
    }


def unpacked(state: dict[str, np.ndarray], prefix: str) -> sp.csr_matrix:
    """The CSR matrix that `packed` took apart, sharing its arrays."""
    parts = (state[f"{prefix}.data"], state[f"{prefix}.indices"], state[f"{prefix}.indptr"])
    shape = state[f"{prefix}.shape"]
    return sp.csr_matrix(parts, (int(shape[0]), int(shape[1])))

"""Sparse arithmetic of the baselines; nothing here is ever V x V and dense."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp


def product_scorer(weights: sp.csr_matrix, rows: sp.csr_matrix) -> Callable[[np.ndarray], np.ndarray]:
    """Scores of items: `weights` [B, m] times the items' `rows` [V + 1, m], both of positive entries; float32 [B, n].

    An item that shares no entry with a query has nothing that speaks for it: -inf.
    """

    def score(items: np.ndarray) -> np.ndarray:
        scores = np.asarray((weights @ rows[items].T).toarray(), np.float32)
        scores[scores == 0] = -np.inf
        return scores

    return score


def packed(matrix: sp.csr_matrix, prefix: str) -> dict[str, np.ndarray]:
    """A CSR matrix as named arrays, for a fitted state."""
    shape = np.array(matrix.shape, np.int64)
    return {
        f"{prefix}.{part}": array
        for part, array in (
            ("data", matrix.data),
            ("indices", matrix.indices),
            ("indptr", matrix.indptr),
            ("shape", shape),
        )
    }


def unpacked(state: dict[str, np.ndarray], prefix: str) -> sp.csr_matrix:
    """The CSR matrix that `packed` took apart, sharing its arrays."""
    parts = (state[f"{prefix}.data"], state[f"{prefix}.indices"], state[f"{prefix}.indptr"])
    shape = state[f"{prefix}.shape"]
    return sp.csr_matrix(parts, (int(shape[0]), int(shape[1])))

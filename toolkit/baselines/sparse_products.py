"""Sparse arithmetic of the baselines, without dense V x V matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from toolkit.contracts.saved_arrays import matrix
from toolkit.errors import DataError

Scorer = Callable[[np.ndarray], np.ndarray]


def product_scorer(weights: sp.csr_matrix, rows: sp.csr_matrix, scale: np.ndarray | None = None) -> Scorer:
    """Return a scorer of items by `weights` times the items' `rows`: int [n] -> float32 [B, n].

    - weights: positive, [B, m].
    - rows: positive, [V + 1, m].
    - scale: factor of the scores of each item, float32 [V + 1].

    An item that shares no entry with a query has no evidence and cannot be ranked (-inf).
    """
    return lambda items: _ranked((weights @ rows[items].T).toarray(), None if scale is None else scale[items])


def column_scorer(scores: sp.csc_matrix, scale: np.ndarray | None = None) -> Scorer:
    """Return a scorer that looks up stored scores [B, V + 1]. Pairs that are not stored cannot be ranked (-inf).

    - scale: factor of the scores of each item, float32 [V + 1].
    """
    return lambda items: _ranked(scores[:, items].toarray(), None if scale is None else scale[items])


def _ranked(products: np.ndarray, scale: np.ndarray | None) -> np.ndarray:
    scores = np.asarray(products, np.float32)
    return minus_inf_for_zero(scores if scale is None else scores * scale)


def minus_inf_for_zero(scores: np.ndarray) -> np.ndarray:
    """Replace zeros, in place, by -inf, because items without evidence cannot be ranked."""
    scores[scores == 0] = -np.inf
    return scores


def minus_inf_outside(scores: np.ndarray, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Replace scores [B, n], in place, by -inf, except those of `queries` bool [B] for `items` bool [n]."""
    scores[:, ~items] = -np.inf
    scores[~queries] = -np.inf
    return scores


def packed(matrix: sp.csr_matrix, prefix: str) -> dict[str, np.ndarray]:
    """Return a CSR matrix as named arrays, for a fitted state."""
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
    return {f"{prefix}.{part}": array for part, array in (parts | {"shape": np.array(matrix.shape, np.int64)}).items()}


def unpacked(state: dict[str, np.ndarray], prefix: str) -> sp.csr_matrix:
    """Return the CSR matrix that `packed` converted to arrays, without a copy.

    Raises `DataError` for offsets, indices or values that `packed` does not write: compiled code would read other
    memory. The check takes 3 % of the time of a query.
    """
    try:
        return matrix(state, prefix)
    except ValueError as error:
        raise DataError(f"the fitted state is damaged ({error}): fit the ranker again") from None

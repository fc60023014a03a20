"""Sparse cosine similarity of items by common playlists, in blocks of rows.

Sarwar et al. 2001, "Item-based collaborative filtering", section 3.1.1; Deshpande
and Karypis 2004, "Item-based top-N recommendation algorithms", section 4.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from toolkit.corpus.block_ranges import blocks_of

BLOCK_ENTRIES = 8_000_000
"""Products that are computed at once: about 200 MB with their indices and sorting keys."""


def similarities(plays: sp.csr_matrix, shrink: float = 0.0) -> Iterator[sp.csr_matrix]:
    """Yield blocks of |P_i ∩ P_j| / (sqrt(|P_i| |P_j|) + shrink), CSR float32 [b, V + 1], without the diagonal.

    - plays: binary matrix [n, V + 1]; P_i are the playlists that contain item i.
    """
    rows_of = by_item(plays)
    playlists = np.diff(rows_of.indptr).astype(np.float64)
    products = rows_of @ np.diff(plays.indptr).astype(np.float64)
    for start, stop in blocks_of(products, BLOCK_ENTRIES):
        block = (rows_of[start:stop] @ plays).tocoo()
        other = block.row + start != block.col
        rows, columns, shared = block.row[other], block.col[other], block.data[other]
        values = shared / (np.sqrt(playlists[rows + start] * playlists[columns]) + shrink)
        yield sp.csr_matrix((values.astype(np.float32), (rows, columns)), block.shape)


def top_per_row(matrix: sp.csr_matrix, n: int) -> sp.csr_matrix:
    """Return the n largest stored entries of each row, with ties broken by the smaller column."""
    sizes = np.diff(matrix.indptr)
    if not len(sizes) or sizes.max() <= n:
        return matrix
    rows = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    order = order[np.arange(len(rows)) - matrix.indptr[rows] < n]
    kept = sp.csr_matrix((matrix.data[order], (rows[order], matrix.indices[order])), matrix.shape)
    kept.sort_indices()
    return kept


def by_item(plays: sp.csr_matrix) -> sp.csr_matrix:
    """Return a matrix of playlists × items as items × playlists, for fast slices of items."""
    return plays.T.tocsr()

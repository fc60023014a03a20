"""Sparse cosine similarity of items by common playlists, in blocks of rows.

Sarwar et al. 2001, "Item-based collaborative filtering", section 3.1.1; Deshpande
and Karypis 2004, "Item-based top-N recommendation algorithms", section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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


def stacked(blocks: Iterable[sp.csr_matrix]) -> sp.csr_matrix:
    """Return blocks of rows as one matrix with sorted indices, float32, while holding a single block beside it."""
    indices, data, ends, width = np.zeros(0, np.int32), np.zeros(0, np.float32), [np.zeros(1, np.int64)], 0
    for block in blocks:
        block.sort_indices()
        size, width = len(data), block.shape[1]
        # grown in place: a large array is moved by its pages and is not copied
        indices.resize(size + block.nnz, refcheck=False)
        data.resize(size + block.nnz, refcheck=False)
        indices[size:], data[size:] = block.indices, block.data
        ends.append(size + block.indptr[1:].astype(np.int64))
    bounds = np.concatenate(ends)
    bounds = bounds.astype(np.int32) if len(data) <= np.iinfo(np.int32).max else bounds
    return sp.csr_matrix((data, indices, bounds), (len(bounds) - 1, width))


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

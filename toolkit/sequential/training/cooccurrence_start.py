"""Co-occurrence vectors of items as initial values of free ids, in place of random vectors.

The vectors are a truncated singular value decomposition of the playlist-track matrix. Rows and columns are scaled by
1/√n, which limits the weight of long playlists and popular tracks (products of this matrix are cosine item-kNN).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from toolkit.corpus.splits import PlaylistSet


def vectors(train: PlaylistSet, dim: int, *, seed: int) -> np.ndarray:
    """Return float32 [V + 1, dim] with inner products that approximate cosine co-occurrence.

    Unplayed tracks are zero. With fewer than `dim` playlists or tracks the last columns are zero.
    """
    matrix = train.matrix().astype(np.float64)
    scaled = _inverse_root(matrix.sum(axis=1)) @ matrix @ _inverse_root(matrix.sum(axis=0))
    rank = min(dim, min(scaled.shape) - 2)
    result = np.zeros((matrix.shape[1], dim), np.float32)
    if rank >= 1:
        start = np.random.default_rng(seed).standard_normal(min(scaled.shape))
        _, values, axes = svds(scaled, k=rank, v0=start)
        axes = axes[::-1] * np.sign(axes[::-1][np.arange(rank), np.abs(axes[::-1]).argmax(axis=1)])[:, None]
        result[:, :rank] = axes.T * values[::-1]
    return result


def _inverse_root(sums: np.ndarray) -> sp.dia_array:
    counts = np.asarray(sums).ravel()
    return sp.diags_array(1.0 / np.sqrt(np.maximum(counts, 1.0)))

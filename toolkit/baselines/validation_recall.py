"""Recall on validation playlists, for baselines that choose weights or stop training by it."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from toolkit.corpus.splits import HeldOut


def hidden_matrix(part: HeldOut) -> sp.csr_matrix:
    """Return the hidden tracks of each playlist: float32 [B, V + 1] of zeros and ones."""
    tracks, offsets = part.hidden()
    return sp.csr_matrix((np.ones(len(tracks), np.float32), tracks, offsets), (len(part), part.corpus.n_items + 1))


def recalls(top: np.ndarray, hidden: sp.csr_matrix) -> np.ndarray:
    """Return the Recall@k of each playlist, over min(k, hidden): float64 [B].

    - top: ids int [B, k] without repetition, padded with 0.
    - hidden: as returned by `hidden_matrix`.
    """
    rows = np.repeat(np.arange(len(top)), top.shape[1])
    hits = np.asarray(hidden[rows, top.ravel()]).reshape(top.shape).sum(axis=1)
    return np.asarray(hits / np.maximum(np.minimum(np.diff(hidden.indptr), top.shape[1]), 1), np.float64)

"""Artists, albums and genres of tracks as sparse rows of unit norm."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from toolkit.errors import InputError


def unit_labels(labels: Mapping[str, sp.csr_matrix], kind: str, ranker: str, *, idf: bool = False) -> sp.csr_matrix:
    """Return one kind of labels as rows of unit norm, float32 [V + 1, L].

    - labels: binary matrices [V + 1, L] by kind (`artist`, `album` or `genre`).
    - ranker: ranker name for the error message.
    - idf: weigh a label that n of N labelled tracks have by log(1 + N / n).

    Raises `InputError` if there are no labels of this kind.
    """
    if kind not in labels:
        raise InputError(
            f"{ranker} requires tracks with {kind} labels that may be trained on: add {kind} labels,"
            f" set `permission` in the section `data` of the recipe, or remove {ranker}"
        )
    weights = labels[kind].astype(np.float64)
    if idf:
        tracks, labelled = np.bincount(weights.indices, minlength=weights.shape[1]), np.diff(weights.indptr) > 0
        weights = weights @ sp.diags_array(np.log1p(int(labelled.sum()) / np.maximum(tracks, 1)))
    return unit_rows(weights.tocsr())


def label_profile(seeds: sp.csr_matrix, labels: sp.csr_matrix) -> sp.csr_matrix:
    """Return the summed seed labels by query as rows of unit norm, float32 [B, L]."""
    return unit_rows((seeds @ labels).tocsr())


def unit_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Return the rows scaled to unit norm, float32. Empty rows stay empty."""
    squares = np.asarray(matrix.multiply(matrix).sum(axis=1, dtype=np.float64)).ravel()
    lengths = np.sqrt(np.where(squares > 0, squares, 1.0))
    scaled = matrix.data / np.repeat(lengths, np.diff(matrix.indptr))
    return sp.csr_matrix((scaled.astype(np.float32), matrix.indices, matrix.indptr), matrix.shape)

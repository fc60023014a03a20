"""From an encoder's output to what is joined: fill what is missing, reduce, normalise."""

from __future__ import annotations

from typing import Literal

import numpy as np

from toolkit.errors import InputError
from toolkit.modality import Modality

Missing = Literal["mean", "zero"]
Normalise = Literal["none", "before", "after"]


def fill(matrix: np.ndarray, present: np.ndarray, policy: Missing) -> np.ndarray:
    """Rows of absent tracks replaced by the mean of the present ones, or by zero; row 0 is zero.

    matrix float32 [V + 1, d], present bool [V + 1] -> float32 [V + 1, d].
    """
    filled = np.where(present[:, None], matrix, np.float32(0.0))
    if policy == "mean" and present.any():
        filled[~present] = matrix[present].mean(axis=0, dtype=np.float64)
    filled[0] = 0.0
    return filled


def centre(matrix: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Rows less the mean of the present ones, so that inner products tell tracks apart; absent rows are zero.

    Exactly zero: the rounding error of a filled-in mean would become a direction of its own in `unit`.
    """
    if not present.any():
        return np.zeros_like(matrix)
    centred = matrix - matrix[present].mean(axis=0, dtype=np.float64).astype(np.float32)
    return np.where(present[:, None], centred, np.float32(0.0))


def unit(matrix: np.ndarray) -> np.ndarray:
    """Rows of length one; zero rows stay zero."""
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.maximum(norms, 1e-12)


def pca(matrix: np.ndarray, present: np.ndarray, dim: int) -> np.ndarray:
    """Projection of the present rows on their first `dim` principal axes: float32 [V + 1, dim]; absent rows are zero, the mean.

    Axes have the sign that makes their largest loading positive, so that a run repeats.
    """
    if dim > min(matrix.shape[1], int(present.sum())):
        raise InputError(f"reduce: pca:{dim} needs dim <= {min(matrix.shape[1], int(present.sum()))} (dimensions and present tracks)")
    rows = matrix[present].astype(np.float64)
    mean = rows.mean(axis=0)
    _, axes = np.linalg.eigh((rows - mean).T @ (rows - mean))
    axes = axes[:, ::-1][:, :dim]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(dim)])
    return np.where(present[:, None], (matrix - mean) @ axes, 0.0).astype(np.float32)


def prepare(modality: Modality, *, missing: Missing, reduce: str, normalise: Normalise) -> np.ndarray:
    """What the item table holds for one modality: float32 [V + 1, d'].

    A track without the modality gets the mean of those that have it (the zero
    vector once centred), or zeros.
    """
    kind, _, size = reduce.partition(":")
    matrix = fill(modality.matrix, modality.present, missing)
    if kind == "pca":
        matrix = pca(matrix, modality.present, min(int(size), modality.dim))
    if normalise == "before":
        matrix = unit(centre(matrix, modality.present))
    if missing == "zero":
        matrix = np.where(modality.present[:, None], matrix, np.float32(0.0))
    matrix[0] = 0.0
    return np.ascontiguousarray(matrix, dtype=np.float32)

"""Conversion of encoder output to rows of the item table, block by block: imputation, reduction, normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from toolkit.contracts.missing_policy import Rows, Start
from toolkit.errors import InputError
from toolkit.modality import Modality

Normalise = Literal["none", "before", "after"]

BLOCK = 16_384  # rows that are processed at once


def unit(matrix: np.ndarray) -> np.ndarray:
    """Return rows with unit norm. Zero rows stay zero."""
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.maximum(norms, 1e-12)


def mean(rows: Callable[[slice], np.ndarray], present: np.ndarray) -> np.ndarray:
    """Return the mean [d] of the present rows, summed in float64; zero without present rows."""
    total = sum(
        (rows(part)[present[part]].sum(axis=0, dtype=np.float64) for part in row_slices(len(present))),
        start=np.float64(0),
    )
    return np.asarray(total / max(1, int(present.sum())))


def principal(matrix: Rows, present: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean [d] and the first `dim` principal axes [d, dim] of the present rows, in float64.

    The largest loading of each axis is positive, which makes the signs reproducible. Raises `InputError` if `dim`
    exceeds the number of columns or of present rows.
    """
    most = min(matrix.shape[1], int(present.sum()))
    if dim > most:
        raise InputError(
            f"reduction pca:{dim} must have dim <= {most}, the smaller number of dimensions and tracks: reduce dim"
        )
    middle = mean(lambda part: matrix[part], present)
    covariance = np.zeros((matrix.shape[1], matrix.shape[1]))
    for part in row_slices(len(present)):
        rows = matrix[part][present[part]] - middle
        covariance += rows.T @ rows
    axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :dim]
    return middle, axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(dim)])


def row_slices(rows: int) -> Iterator[slice]:
    """Return slices of at most `BLOCK` rows that together cover `rows` rows."""
    return (slice(start, min(start + BLOCK, rows)) for start in range(0, rows, BLOCK))


class Prepared:
    """Rows of one modality in the item table: float32 [V + 1, d'], computed when sliced, without a second matrix.

    - missing: value of missing rows: the mean of the present rows (the zero vector after centring), or zeros. Row 0 is
      zero. Missing rows are exactly zero after centring, because `unit` would amplify rounding errors.
    - reduce: `pca:N`; other values give no reduction here.
    - normalise: `before` centres rows and scales them to unit norm.
    - fitted: bool [V + 1], tracks that means and axes are fitted to; default: all tracks with the modality.
    """

    def __init__(
        self, modality: Modality, *, missing: Start, reduce: str, normalise: Normalise, fitted: np.ndarray | None = None
    ) -> None:
        self.matrix, self.present, self.zero = modality.matrix, modality.present, missing == "zero"
        known = self.present if fitted is None else self.present & fitted
        kind, _, size = reduce.partition(":")
        self.axes = principal(self.matrix, known, min(int(size), modality.dim)) if kind == "pca" else None
        self.filler = (
            np.float32(0) if self.zero or self.axes else mean(lambda part: self.matrix[part], known).astype(np.float32)
        )
        self.middle = mean(self._reduced, known).astype(np.float32) if normalise == "before" else None
        self.shape = (len(self.matrix), self.matrix.shape[1] if self.axes is None else self.axes[1].shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        """Return the rows of a slice with a start: float32 [n, d']."""
        rows, present = self._reduced(part), self.present[part, None]
        if self.middle is not None:
            rows = unit(np.where(present, rows - self.middle, np.float32(0)))
        if self.zero:
            rows = np.where(present, rows, np.float32(0))
        if part.start == 0:
            rows[0] = 0
        return np.ascontiguousarray(rows, np.float32)

    def _reduced(self, part: slice) -> np.ndarray:
        rows, present = self.matrix[part], self.present[part, None]
        if self.axes is None:
            return np.where(present, rows, self.filler)
        middle, axes = self.axes
        return np.where(present, (rows - middle) @ axes, 0).astype(np.float32)


def prepare(
    modality: Modality, *, missing: Start, reduce: str, normalise: Normalise, fitted: np.ndarray | None = None
) -> np.ndarray:
    """Return all rows of `Prepared` at once."""
    rows = Prepared(modality, missing=missing, reduce=reduce, normalise=normalise, fitted=fitted)
    return rows[0 : len(rows)]

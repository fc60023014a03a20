"""Standardisation of columns to zero mean and unit variance, and the base class for encoders that only standardise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from toolkit.encoders.contract.encoder import Encoder, FittedState, Tensors
from toolkit.encoders.contract.input_faults import BadInput, not_fitted
from toolkit.errors import InputError


@dataclass(frozen=True)
class Standardiser:
    """Mean and scale of each column, float64 [c]. A constant column has scale 1 and becomes 0."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, matrix: np.ndarray) -> Self:
        """Fit to float32 [n, c], n >= 1. Raises `BadInput` at the first row that is not finite."""
        if matrix.ndim != 2 or not len(matrix):
            raise InputError(f"features of shape {matrix.shape} must be [n, c] with n >= 1: pass at least one row")
        _check_finite(matrix)
        wide = matrix.astype(np.float64)
        mean, deviation = wide.mean(axis=0), wide.std(axis=0)
        # below the resolution of float32, a deviation is rounding of a constant; dividing by it would make noise
        constant = deviation <= 1e-6 * np.abs(mean)
        return cls(mean, np.where(constant | (deviation == 0), 1.0, deviation))

    @classmethod
    def restored(cls, tensors: Tensors) -> Self:
        """Return the standardiser saved in `tensors`."""
        return cls(tensors["mean"], tensors["scale"])

    def apply(self, matrix: np.ndarray) -> np.ndarray:
        """Return standardised float32 [n, c] for float32 [n, c]."""
        if matrix.ndim != 2 or matrix.shape[1] != len(self.mean):
            raise InputError(
                f"features of shape {matrix.shape} must have {len(self.mean)} columns as in fit: pass the same columns"
            )
        _check_finite(matrix)
        return ((matrix.astype(np.float64) - self.mean) / self.scale).astype(np.float32)

    def tensors(self) -> Tensors:
        return {"mean": self.mean, "scale": self.scale}


class StandardisingEncoder(Encoder):
    """Base class for encoders that learn only the mean and standard deviation of each column."""

    requires_fit: ClassVar[bool] = True
    seeded: ClassVar[bool] = False
    standardiser: Standardiser | None = None

    def fitted_state(self) -> FittedState | None:
        return FittedState(self.standardiser.tensors()) if self.standardiser else None

    def restore(self, state: FittedState) -> None:
        self.standardiser = Standardiser.restored(state.tensors)

    def _fitted(self) -> Standardiser:
        if self.standardiser is None:
            raise not_fitted(self.name)
        return self.standardiser


def as_matrix(inputs: object) -> np.ndarray:
    """Return features as float32 [n, c]."""
    matrix = np.asarray(inputs, dtype=np.float32)
    return matrix if matrix.ndim == 2 else matrix.reshape(len(matrix), -1)


def _check_finite(matrix: np.ndarray) -> None:
    for row, column in np.argwhere(~np.isfinite(matrix))[:1].tolist():
        value = matrix[row, column]
        raise BadInput(
            row, f"has {value} in column {column} (counted from 0) but must have finite numbers: replace the value"
        )

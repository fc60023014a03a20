"""Columns to mean zero and variance one, and what encoders of such columns share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from toolkit.encoders.contract.encoder import Encoder
from toolkit.encoders.contract.encoder_files import Tensors, load_encoder, save_encoder
from toolkit.encoders.contract.input_faults import BadInput, not_fitted
from toolkit.errors import InputError


@dataclass(frozen=True)
class Standardiser:
    """Mean and scale of each column, float64 [c]; a constant column has scale 1, so that it becomes 0."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, matrix: np.ndarray) -> Standardiser:
        """Learn from float32 [n, c], n >= 1. Raises `BadInput` at the first row that is not finite."""
        if matrix.ndim != 2 or not len(matrix):
            raise InputError(f"features of shape {matrix.shape} must be [n, c] with n >= 1 to learn from")
        _check_finite(matrix)
        wide = matrix.astype(np.float64)
        mean, deviation = wide.mean(axis=0), wide.std(axis=0)
        # below float32's resolution a deviation is rounding of a constant, and dividing by it would make noise
        constant = deviation <= 1e-6 * np.abs(mean)
        return cls(mean, np.where(constant | (deviation == 0), 1.0, deviation))

    def apply(self, matrix: np.ndarray) -> np.ndarray:
        """float32 [n, c] -> float32 [n, c]."""
        if matrix.ndim != 2 or matrix.shape[1] != len(self.mean):
            raise InputError(
                f"features of shape {matrix.shape} must have the {len(self.mean)} columns that were learned from"
            )
        _check_finite(matrix)
        return ((matrix.astype(np.float64) - self.mean) / self.scale).astype(np.float32)

    def tensors(self) -> Tensors:
        return {"mean": self.mean, "scale": self.scale}


class StandardisingEncoder(Encoder):
    """An encoder that learns each column's mean and deviation, and nothing else."""

    learns: ClassVar[bool] = True
    seeded: ClassVar[bool] = False
    standardiser: Standardiser | None = None

    def save(self, directory: Path) -> None:
        save_encoder(self, directory, self.standardiser.tensors() if self.standardiser else None)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        encoder, tensors, _ = load_encoder(cls, directory, device=device)
        if tensors is not None:
            encoder.standardiser = Standardiser(tensors["mean"], tensors["scale"])
        return encoder

    def _fitted(self) -> Standardiser:
        if self.standardiser is None:
            raise not_fitted(self.name)
        return self.standardiser


def as_matrix(inputs: object) -> np.ndarray:
    """Features as float32 [n, c]."""
    matrix = np.asarray(inputs, dtype=np.float32)
    return matrix if matrix.ndim == 2 else matrix.reshape(len(matrix), -1)


def _check_finite(matrix: np.ndarray) -> None:
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        row, column = (int(place) for place in bad[0])
        raise BadInput(
            row, f"has {matrix[row, column]} in column {column} (counted from 0), which must be a finite number"
        )

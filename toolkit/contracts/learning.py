"""Check that a trained part has learned: its loss, the distance of its weights from their start, and its vectors.

A part is collapsed if its weights have not moved, if its training loss is not below the loss of the best constant
prediction, or if its vectors have an effective rank below 2. The limits are lower if the training data has little to
learn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import numpy as np

MOST_ROWS, MOST_NUMBERS = 2000, 2**24
"""Largest number of rows, and of values in these rows, from which an effective rank is computed."""
LEAST_ROWS, LEAST_COLUMNS = 4, 3
"""Smallest numbers of rows and dimensions for which a rank is judged. Two centred dimensions often have rank 1."""
LEAST_RANK = 2.0
MARGIN = 1e-3
"""Share of the constant prediction's loss by which a loss must be below it."""
UNMOVED = 1e-6
"""Relative distance below which a change of weights may be rounding: float32 has seven digits."""


class NotLearned(UserWarning):
    """Warning about a trained part that did not learn."""


@dataclass(frozen=True)
class Learning:
    """Record of a training, measured after its last step. None means that a value cannot be measured.

    - loss: the training loss without dropout.
    - constant: that loss for the best constant prediction, on the same data with the same weights.
    - moved: distance of the weights from their start, divided by the larger of the two norms.
    - rank, dim: effective rank and dimension of the vectors.
    - least_rank: effective rank from which the vectors are accepted. It is 2, or half the rank of the inputs or targets
      where these have a rank below 4: vectors of data with two groups vary in one dimension.
    """

    loss: float | None = None
    constant: float | None = None
    moved: float | None = None
    rank: float | None = None
    dim: int | None = None
    least_rank: float = LEAST_RANK

    def limited_by(self, rank: float) -> Self:
        """Return the record for inputs or targets with an effective rank of `rank`."""
        return replace(self, least_rank=min(self.least_rank, rank / 2))

    def of_task(self, *matrices: np.ndarray) -> Self:
        """Return the record for the inputs and targets of the training, each [n, d]."""
        found = self
        for matrix in matrices:
            found = found.limited_by(effective_rank(matrix))
        return found

    def of_vectors(self, vectors: np.ndarray, distinct: int | None = None) -> Self:
        """Return the record for the vectors that the part computes, float [n, d], without rows of missing inputs.

        - distinct: number of distinct inputs; default: n.
        """
        distinct = len(vectors) if distinct is None else min(distinct, len(vectors))
        if distinct < LEAST_ROWS or vectors.shape[1] < LEAST_COLUMNS:
            return replace(self, rank=None, dim=None)
        limited = self.limited_by(distinct - 1)
        return replace(limited, rank=effective_rank(vectors), dim=int(vectors.shape[1]))

    @property
    def collapsed(self) -> str:
        """Why the part did not learn, in one line, or ""."""
        if self.moved is not None and self.moved < UNMOVED:
            return "the weights did not change"
        if self.loss is not None and self.constant is not None and not _below(self.loss, self.constant):
            return (
                f"loss {self.loss:.4g} must be more than {100 * MARGIN:g} % below {self.constant:.4g}, the loss of the"
                " best constant prediction"
            )
        if self.rank == 0:
            return "all vectors are equal"
        if self.rank is not None and self.rank < self.least_rank:
            return f"effective rank {self.rank:.2f} of {self.dim} dimensions is below {self.least_rank:.3g}"
        return ""

    def to_json(self) -> dict[str, Any]:
        """Return the measured values for a JSON file."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> Self | None:
        """Return the record that `to_json` wrote, or None for None. Unknown keys are ignored."""
        known = {field.name for field in fields(cls)}
        return None if values is None else cls(**{name: value for name, value in values.items() if name in known})


def combined(own: str, parts: Mapping[str, str]) -> str:
    """Return why a system has not learned, in one line, or "".

    - own: the reason of its own network, or "".
    - parts: the reason or "" of each encoder that it uses, by name.
    """
    return "; ".join(filter(None, [own, *(f"{name}: {reason}" for name, reason in parts.items() if reason)]))


def message(name: str, reason: str) -> str:
    """Return the line about a collapsed part for a log or a warning."""
    return f"{name}: collapsed ({reason}): train longer (epochs), raise the learning rate, or check inputs and targets"


def effective_rank(matrix: np.ndarray) -> float:
    """Return the effective rank of the centred rows of a matrix [n, d], from 0 for equal rows to min(n - 1, d).

    It is the exponential of the entropy of the singular values of their covariance, divided by their sum: the shares of
    the variance. The singular values of the rows themselves would count the small random outputs of an untrained
    network as dimensions. Rows that are not finite are left out. Of many rows an evenly spaced sample is used. Variance
    that float32 rounding explains counts as zero.

    Source: Roy and Vetterli, "The effective rank: A measure of effective dimensionality", EUSIPCO 2007.
    """
    rows = matrix[sample_rows(*matrix.shape)]
    rows = rows[np.isfinite(rows).all(axis=1)].astype(np.float64)
    if not rows.size:
        return 0.0
    noise = np.finfo(np.float32).eps * float(np.linalg.norm(rows))
    rows -= rows.mean(axis=0)
    # both Gram matrices have the same singular values: the smaller one is enough
    values = np.linalg.eigvalsh(rows @ rows.T if rows.shape[0] < rows.shape[1] else rows.T @ rows)
    values = values[values > noise**2]
    if not len(values):
        return 0.0
    shares = values / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def distance(start: np.ndarray, now: np.ndarray) -> float:
    """Return the distance of weights from their start, divided by the larger of the two norms."""
    norm = max(float(np.linalg.norm(start)), float(np.linalg.norm(now)))
    return float(np.linalg.norm(np.subtract(now, start, dtype=np.float64))) / norm if norm else 0.0


def sample_rows(n: int, d: int = 1) -> np.ndarray:
    """Return evenly spaced rows of a matrix [n, d] for the check, int64 [at most 2,000]."""
    most = min(n, MOST_ROWS, max(LEAST_ROWS, MOST_NUMBERS // max(d, 1)))
    return np.linspace(0, n - 1, most).astype(np.int64) if most else np.zeros(0, np.int64)


def _below(loss: float, constant: float) -> bool:
    """Return whether a loss is below that of a constant by the margin, or the constant prediction has no error."""
    return constant < 1e-9 or (math.isfinite(loss) and loss < constant - MARGIN * abs(constant))

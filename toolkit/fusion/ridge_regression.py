"""Ridge regression in closed form, from sums of products of centred columns."""

from __future__ import annotations

import numpy as np


class RidgeRegression:
    """Solver of (XᵀX + λ I) W = XᵀY for any number of penalties λ and targets Y, with one eigendecomposition.

    - gram: XᵀX, float64 [D, D].

    XᵀX is A diag(v) Aᵀ: `axes` is A, float64 [D, D], and `eigenvalues` is v, float64 [D], ascending and at least 0.
    """

    def __init__(self, gram: np.ndarray) -> None:
        values, self.axes = np.linalg.eigh(gram)
        self.eigenvalues = np.maximum(values, 0.0)

    def rotated(self, cross: np.ndarray) -> np.ndarray:
        """Return AᵀXᵀY for `cross` XᵀY, float64 [D, k]. Sums over blocks of rows may be rotated block by block."""
        return np.asarray(self.axes.T @ cross)

    def weights(self, rotated: np.ndarray, penalty: float) -> np.ndarray:
        """Return W, float64 [D, k], for a result of `rotated`."""
        return np.asarray(self.axes @ (rotated / (self.eigenvalues + penalty)[:, None]))

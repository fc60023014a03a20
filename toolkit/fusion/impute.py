"""Imputation of missing modalities from present modalities, for the policies `linear` and `em`.

Both policies use an affine map for each combination of present modalities and each missing modality. The maps are
fitted to tracks of the training split, in the space of the item table (after `pca` and `normalise: before`). A
predicted vector is an expectation, so it is shorter than a real vector by the part that the present modalities do not
explain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from toolkit.contracts.missing_policy import Fill, Rows
from toolkit.fusion.moments import Has, Moments, grouped
from toolkit.fusion.ridge_regression import RidgeRegression

Map = tuple[np.ndarray, np.ndarray]  # weights float64 [D', d] and constant [d]

PENALTIES = np.logspace(-6, 3, 28)
"""Ridge penalties to choose from, as shares of the mean eigenvalue."""


class Affine:
    """Affine maps that fill in missing rows, as a `Fill`.

    - make: returns the map for a combination and a missing modality. It is called once for each pair that occurs.
    """

    def __init__(self, make: Callable[[Has, int], Map]) -> None:
        self.make = make
        self.maps: dict[tuple[Has, int], Map] = {}

    def __call__(self, modality: int, rows: Sequence[np.ndarray], present: np.ndarray) -> np.ndarray:
        filled = np.empty_like(rows[modality])
        for has, places in grouped(present, np.ones(present.shape[1], bool)):
            if (has, modality) not in self.maps:
                self.maps[has, modality] = self.make(has, modality)
            weights, constant = self.maps[has, modality]
            inputs = [other[places] for other, there in zip(rows, has, strict=True) if there]
            filled[places] = (np.concatenate(inputs, axis=1) @ weights if inputs else 0) + constant
        return filled


class Filled:
    """Modality with imputed missing rows: float32 [V + 1, d], computed when sliced. Row 0 is zero.

    - blocks: all modalities.
    - present: bool [M, V + 1], tracks with each modality.
    - fill: the result of `Missing.fit`.
    - modality: index of this modality.
    """

    def __init__(self, blocks: Sequence[Rows], present: np.ndarray, fill: Fill, modality: int) -> None:
        self.blocks, self.present, self.fill, self.modality = blocks, present, fill, modality
        self.shape = blocks[modality].shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        """Return the rows of a slice with a start: float32 [n, d]."""
        absent = ~self.present[self.modality, part]
        if part.start == 0:
            absent[0] = False
        if not absent.any():
            return self.blocks[self.modality][part]
        every = [block[part] for block in self.blocks]
        filled = every[self.modality].copy()
        filled[absent] = self.fill(self.modality, [rows[absent] for rows in every], self.present[:, part][:, absent])
        return filled


def ridge_map(known: Moments, has: Has, modality: int) -> Map:
    """Return the ridge regression of a modality on present modalities, from sums over tracks with all of them.

    The penalty minimises the generalised cross-validation error. With fewer than 3 such tracks the map is the mean of
    the modality.
    """
    sums = known.together([there or place == modality for place, there in enumerate(has)])
    count, width = sums[-1, -1], known.widths[modality]
    if count < 3 or not any(has):
        return np.zeros((len(known.columns(has)), width)), known.mean(modality)
    mean = sums[-1, :-1] / count
    scatter = sums[:-1, :-1] - count * np.outer(mean, mean)
    start = sum(known.widths[place] for place in range(modality) if has[place])
    target = np.zeros(len(mean), dtype=bool)
    target[start : start + width] = True
    regression = RidgeRegression(scatter[np.ix_(~target, ~target)])
    rotated = regression.rotated(scatter[np.ix_(~target, target)])
    total = float(scatter.diagonal()[target].sum())
    penalty = _best_penalty(regression.eigenvalues, (rotated**2).sum(axis=1), total, count)
    weights = regression.weights(rotated, penalty)
    return weights, mean[target] - mean[~target] @ weights


def _best_penalty(eigenvalues: np.ndarray, explained: np.ndarray, total: float, count: float) -> float:
    """Return the penalty with the least GCV score n · RSS / (n − 1 − degrees of freedom)²."""
    penalties = PENALTIES[:, None] * max(float(eigenvalues.mean()), np.finfo(float).tiny)
    shrunk = eigenvalues + penalties
    rest = total - (explained * (eigenvalues + 2 * penalties) / shrunk**2).sum(axis=1)
    free = count - 1 - (eigenvalues / shrunk).sum(axis=1)
    return float(penalties[np.argmin(np.maximum(rest, 0.0) / np.maximum(free, 1e-9) ** 2), 0])

"""Missing modalities from those that are there: the policies `linear` and `em`.

Both are affine maps, one for each combination of present modalities and each missing one, fitted to tracks of the
training split alone, in the space that the item table holds (after `pca` and `normalise: before`). A filled-in vector
is an expectation: shorter than a real one by as much as the rest says nothing about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from toolkit.fusion import factors
from toolkit.fusion.moments import Has, Moments, grouped, moments
from toolkit.fusion.prepare import Rows

Map = tuple[np.ndarray, np.ndarray]
"""Weights float64 [D', d] and constant [d]."""

PENALTIES = np.logspace(-6, 3, 28)
"""Ridge penalties that are tried, as shares of the mean eigenvalue."""


class Imputer:
    """Fills rows of `blocks` where `present`, bool [M, V + 1], says they are missing; row 0 stays zero.

    kind: `linear` is a ridge regression on the tracks that have all of a combination and the missing modality too, its
    penalty by generalised cross-validation (Golub, Heath and Wahba 1979); where no track has, the mean. `em` is a
    conditional expectation under `toolkit.fusion.factors` with `rank` factors, fitted to all tracks.
    """

    def __init__(
        self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray, *, kind: Literal["linear", "em"], rank: int
    ) -> None:
        self.blocks, self.present = blocks, present
        known = moments(blocks, present, fitted)
        self.make: Callable[[Has, int], Map]
        if kind == "em":
            self.factors = factors.fit(known, rank)
            self.make = lambda has, modality: factors.conditional(self.factors, known, has, modality)
        else:
            self.make = lambda has, modality: _ridge(known, has, modality)
        self.maps: dict[tuple[Has, int], Map] = {}

    def rows(self, modality: int, part: slice) -> np.ndarray:
        """Rows of a slice that says where it starts, filled in: float32 [n, d]."""
        rows = self.blocks[modality][part]
        absent = ~self.present[modality, part]
        if part.start == 0:
            absent[0] = False
        if not absent.any():
            return rows
        others = [None if place == modality else block[part] for place, block in enumerate(self.blocks)]
        for has, places in grouped(self.present[:, part], absent):
            weights, constant = self._map(has, modality)
            given = [other[places] for other, there in zip(others, has, strict=True) if there and other is not None]
            rows[places] = (np.concatenate(given, axis=1) @ weights if given else 0) + constant
        return rows

    def _map(self, has: Has, modality: int) -> Map:
        if (has, modality) not in self.maps:
            self.maps[has, modality] = self.make(has, modality)
        return self.maps[has, modality]


class Imputed:
    """One modality with its missing rows filled in: float32 [V + 1, d], made as it is sliced."""

    def __init__(self, imputer: Imputer, modality: int) -> None:
        self.imputer, self.modality = imputer, modality
        self.shape = imputer.blocks[modality].shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        return self.imputer.rows(self.modality, part)


def _ridge(known: Moments, has: Has, modality: int) -> Map:
    """Regression of a modality on those that are there, from the sums of the tracks that have all of them."""
    wanted = [there or place == modality for place, there in enumerate(has)]
    sums = known.together(wanted)
    count, width = sums[-1, -1], known.widths[modality]
    if count < 3 or not any(has):
        return np.zeros((len(known.columns(has)), width)), known.mean(modality)
    mean = sums[-1, :-1] / count
    scatter = sums[:-1, :-1] - count * np.outer(mean, mean)
    start = sum(known.widths[place] for place in range(modality) if has[place])
    target = np.zeros(len(mean), dtype=bool)
    target[start : start + width] = True
    values, axes = np.linalg.eigh(scatter[np.ix_(~target, ~target)])
    values = np.maximum(values, 0.0)
    turned = axes.T @ scatter[np.ix_(~target, target)]
    penalty = _penalty(values, (turned**2).sum(axis=1), float(scatter.diagonal()[target].sum()), count)
    weights = axes @ (turned / (values + penalty)[:, None])
    return weights, mean[target] - mean[~target] @ weights


def _penalty(values: np.ndarray, explained: np.ndarray, total: float, count: float) -> float:
    """The penalty with the least GCV score n · RSS / (n − 1 − degrees of freedom)²."""
    tried = PENALTIES[:, None] * max(float(values.mean()), np.finfo(float).tiny)
    rest = total - (explained * (values + 2 * tried) / (values + tried) ** 2).sum(axis=1)
    free = count - 1 - (values / (values + tried)).sum(axis=1)
    return float(tried[np.argmin(np.maximum(rest, 0.0) / np.maximum(free, 1e-9) ** 2), 0])

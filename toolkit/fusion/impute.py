"""Filling rows of missing modalities from those that are there, as the policies `linear` and `em` do it.

Both are affine maps, one for each combination of present modalities and each missing one, fitted to tracks of the
training split alone, in the space that the item table holds (after `pca` and `normalise: before`). A filled-in vector
is an expectation: shorter than a real one by as much as the rest says nothing about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from toolkit.contracts.missing_policy import Fill, Rows
from toolkit.fusion.moments import Has, Moments, grouped

Map = tuple[np.ndarray, np.ndarray]
"""Weights float64 [D', d] and constant [d]."""

PENALTIES = np.logspace(-6, 3, 28)
"""Ridge penalties that are tried, as shares of the mean eigenvalue."""


class Affine:
    """Fills by one affine map for each combination of present modalities and each missing one.

    make: the map for a combination and a missing modality, called once for each that occurs.
    """

    def __init__(self, make: Callable[[Has, int], Map]) -> None:
        self.make = make
        self.maps: dict[tuple[Has, int], Map] = {}

    def __call__(self, modality: int, rows: Sequence[np.ndarray], present: np.ndarray) -> np.ndarray:
        filled = np.empty_like(rows[modality])
        for has, places in grouped(present, np.ones(present.shape[1], bool)):
            weights, constant = self._map(has, modality)
            given = [other[places] for other, there in zip(rows, has, strict=True) if there]
            filled[places] = (np.concatenate(given, axis=1) @ weights if given else 0) + constant
        return filled

    def _map(self, has: Has, modality: int) -> Map:
        if (has, modality) not in self.maps:
            self.maps[has, modality] = self.make(has, modality)
        return self.maps[has, modality]


class Filled:
    """One modality with its missing rows filled in: float32 [V + 1, d], computed as it is sliced; row 0 stays zero.

    - blocks: every modality. present: bool [M, V + 1], which track has which.
    - fill: what `Missing.fit` returned. modality: index of this one.
    """

    def __init__(self, blocks: Sequence[Rows], present: np.ndarray, fill: Fill, modality: int) -> None:
        self.blocks, self.present, self.fill, self.modality = blocks, present, fill, modality
        self.shape = blocks[modality].shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        """Rows of a slice that says where it starts: float32 [n, d]."""
        absent = ~self.present[self.modality, part]
        if part.start == 0:
            absent[0] = False
        if not absent.any():
            return self.blocks[self.modality][part]
        every = [block[part] for block in self.blocks]
        filled = every[self.modality].copy()
        filled[absent] = self.fill(self.modality, [rows[absent] for rows in every], self.present[:, part][:, absent])
        return filled


def ridge(known: Moments, has: Has, modality: int) -> Map:
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

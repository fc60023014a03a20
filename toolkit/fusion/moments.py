"""First and second moments of joined rows, apart for each combination of modalities that tracks have.

What fills in missing modalities is fitted to these sums alone: one pass over the rows, whatever their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.contracts.missing_policy import Rows
from toolkit.errors import InputError
from toolkit.fusion.prepare import parts

LIMIT = 2**30
"""Bytes that all moments may take together."""

Has = tuple[bool, ...]
"""Which of the modalities a track has, in their order."""


@dataclass(frozen=True)
class Moments:
    """sums: by combination, Σ [x, 1] [x, 1]ᵀ over its tracks, x their present columns side by side: float64 [D' + 1, D' + 1].

    widths: columns of each modality.
    """

    widths: tuple[int, ...]
    sums: Mapping[Has, np.ndarray]

    def columns(self, has: Sequence[bool]) -> np.ndarray:
        """Where the modalities `has` stand among all columns: int64 [D']."""
        return np.flatnonzero(np.repeat(has, self.widths))

    def among(self, has: Has, wanted: Sequence[bool]) -> np.ndarray:
        """Where `wanted` modalities, and the 1, stand in the sums of `has`: int64 [D'' + 1]."""
        owner = np.repeat(np.arange(len(self.widths)), self.widths)[self.columns(has)]
        return np.append(np.flatnonzero(np.asarray(wanted)[owner]), len(owner))

    def together(self, wanted: Sequence[bool]) -> np.ndarray:
        """Sums [D'' + 1, D'' + 1] over all tracks that have every one of `wanted`."""
        size = len(self.columns(wanted)) + 1
        total = np.zeros((size, size))
        for has, sums in self.sums.items():
            if all(there for there, asked in zip(has, wanted, strict=True) if asked):
                places = self.among(has, wanted)
                total += sums[np.ix_(places, places)]
        return total

    def mean(self, modality: int) -> np.ndarray:
        """Mean of one modality over the tracks that have it [d]; zero where none has."""
        sums = self.together([place == modality for place in range(len(self.widths))])
        return np.asarray(sums[-1, :-1] / max(sums[-1, -1], 1.0))


def moments(blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Moments:
    """Moments of the `fitted` rows, bool [V + 1], that have anything. present: bool [M, V + 1].

    Raises `InputError` where they would take more than `LIMIT` bytes.
    """
    widths = tuple(block.shape[1] for block in blocks)
    made = Moments(widths, {})
    learnt = fitted & present.any(axis=0)
    found = [tuple(bool(there) for there in row) for row in np.unique(present[:, learnt].T, axis=0)]
    sizes = {has: len(made.columns(has)) + 1 for has in found}
    if (needed := 8 * sum(size**2 for size in sizes.values())) > LIMIT:
        raise InputError(
            f"missing: linear and em would hold {needed / 1e9:.1f} GB of moments for {sum(widths)} columns and {len(found)} combinations"
            f" of modalities, more than {LIMIT / 1e9:.1f}: reduce the modalities first, such as reduce: pca:128"
        )
    sums = {has: np.zeros((size, size)) for has, size in sizes.items()}
    for part in parts(len(fitted)):
        for has, rows in combinations(blocks, present, part, learnt[part]):
            if any(has):
                one = np.append(rows, np.ones((len(rows), 1)), axis=1)
                sums[has] += one.T @ one
    return Moments(widths, sums)


def combinations(
    blocks: Sequence[Rows], present: np.ndarray, part: slice, chosen: np.ndarray
) -> Iterator[tuple[Has, np.ndarray]]:
    """The chosen rows of a slice by combination: their present columns side by side, float64 [n, D']."""
    for has, places in grouped(present[:, part], chosen):
        rows = [block[part][places] for block, there in zip(blocks, has, strict=True) if there]
        yield has, np.concatenate(rows, axis=1, dtype=np.float64) if rows else np.zeros((len(places), 0))


def grouped(present: np.ndarray, chosen: np.ndarray) -> Iterator[tuple[Has, np.ndarray]]:
    """Chosen columns of bool [M, n] by their content: which modalities, and the places int64."""
    places = np.flatnonzero(chosen)
    kinds, kind_of = np.unique(present[:, places].T, axis=0, return_inverse=True)
    for number, has in enumerate(kinds):
        yield tuple(bool(there) for there in has), places[kind_of.ravel() == number]

"""First and second moments of all columns, for each combination of modalities.

The policies `linear` and `em` are fitted only to these sums, which require a single pass over any number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.contracts.missing_policy import Rows
from toolkit.errors import InputError
from toolkit.fusion.prepare import row_slices

LIMIT = 2**30  # bytes that all moments may take together

Has = tuple[bool, ...]  # which of the modalities a track has, in their order


@dataclass(frozen=True)
class Moments:
    """Sums over tracks, by combination of modalities.

    - widths: number of columns of each modality.
    - sums: Σ [x, 1] [x, 1]ᵀ, float64 [D' + 1, D' + 1], with the present columns concatenated as x.
    """

    widths: tuple[int, ...]
    sums: Mapping[Has, np.ndarray]

    def columns(self, has: Sequence[bool]) -> np.ndarray:
        """Return indices of the modalities `has` among all columns: int64 [D']."""
        return np.flatnonzero(np.repeat(has, self.widths))

    def among(self, has: Has, chosen: Sequence[bool]) -> np.ndarray:
        """Return indices of the `chosen` modalities, and of the constant 1, in the sums of `has`: int64 [D'' + 1]."""
        owner = np.repeat(np.arange(len(self.widths)), self.widths)[self.columns(has)]
        return np.append(np.flatnonzero(np.asarray(chosen)[owner]), len(owner))

    def together(self, chosen: Sequence[bool]) -> np.ndarray:
        """Return the sums [D'' + 1, D'' + 1] over all tracks with every `chosen` modality."""
        size = len(self.columns(chosen)) + 1
        total = np.zeros((size, size))
        for has, sums in self.sums.items():
            if all(there for there, needed in zip(has, chosen, strict=True) if needed):
                places = self.among(has, chosen)
                total += sums[np.ix_(places, places)]
        return total

    def mean(self, modality: int) -> np.ndarray:
        """Return the mean [d] of a modality over tracks with that modality; zero without such tracks."""
        sums = self.together([place == modality for place in range(len(self.widths))])
        return np.asarray(sums[-1, :-1] / max(sums[-1, -1], 1.0))


def moments(blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Moments:
    """Return moments of the `fitted` rows, bool [V + 1], with any modality. present: bool [M, V + 1].

    Raises `InputError` if the moments would exceed `LIMIT` bytes.
    """
    widths = tuple(block.shape[1] for block in blocks)
    empty = Moments(widths, {})
    used = fitted & present.any(axis=0)
    kinds = [tuple(bool(there) for there in row) for row in np.unique(present[:, used].T, axis=0)]
    sizes = {has: len(empty.columns(has)) + 1 for has in kinds}
    if (needed := 8 * sum(size**2 for size in sizes.values())) > LIMIT:
        raise InputError(
            f"`missing: linear` and `em` require {needed / 1e9:.1f} GB of moments for {sum(widths)} columns and"
            f" {len(kinds)} combinations of modalities, more than {LIMIT / 1e9:.1f}: reduce the modalities, for example"
            " with `reduce: pca:128`"
        )
    sums = {has: np.zeros((size, size)) for has, size in sizes.items()}
    for part in row_slices(len(fitted)):
        for has, places in grouped(present[:, part], used[part]):
            if any(has):
                rows = [block[part][places] for block, there in zip(blocks, has, strict=True) if there]
                extended = np.concatenate([*rows, np.ones((len(places), 1))], axis=1, dtype=np.float64)
                sums[has] += extended.T @ extended
    return Moments(widths, sums)


def grouped(present: np.ndarray, chosen: np.ndarray) -> Iterator[tuple[Has, np.ndarray]]:
    """Yield the combinations of modalities among chosen columns of bool [M, n], with int64 columns for each."""
    places = np.flatnonzero(chosen)
    kinds, kind_of = np.unique(present[:, places].T, axis=0, return_inverse=True)
    for number, has in enumerate(kinds):
        yield tuple(bool(there) for there in has), places[kind_of.ravel() == number]

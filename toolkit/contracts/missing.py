"""What a missing-value policy is: the part of a recipe that says what a track without a modality has instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from toolkit.parts import Part

if TYPE_CHECKING:
    import numpy as np

Start = Literal["mean", "zero"]
"""What absent rows hold before a policy fills them: the mean of the training tracks, in the encoder's space, or zeros."""


class Rows(Protocol):
    """Rows of all tracks, float32 [V + 1, d]: a matrix, or one computed as it is sliced. `rows[0 : len(rows)]` is the whole."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> np.ndarray: ...


class Fill(Protocol):
    """What `Missing.fit` returns: gives the rows of tracks that have no row of their own."""

    def __call__(self, modality: int, rows: Sequence[np.ndarray], present: np.ndarray) -> np.ndarray:
        """Rows float [n, d] of n tracks for `modality`, the index of one that none of them has.

        - rows: of every modality, float32 [n, d_m] of the same tracks; what `start` says where a track is without it.
        - present: bool [M, n], which modalities each of these tracks has.
        """


class Missing(Part):
    """Base of every missing-value policy: its fields are its parameters, `fit` is what it does. Entry-point group `segue.missing`.

    A class declares what the item table must know of it:

    - start: what absent rows hold before `fit` fills them, and after it where it returns None.
    - fills: whether an absent row is an estimate or a learned vector, rather than the same neutral value for all. Joins that leave missing
      modalities out refuse such a policy.
    - learned: whether the model learns one vector a modality, zero at first, that stands for every absent row.

    `segue.plugin.check_missing` tests a policy against this contract.
    """

    start: ClassVar[Start] = "zero"
    fills: ClassVar[bool] = True
    learned: ClassVar[bool] = False

    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill | None:
        """Learn from the training tracks how to fill absent rows; None where `start` is all there is.

        - blocks: one a modality, as the item table holds them (after `reduce: pca` and `normalise: before`); row 0 is padding.
        - present: bool [M, V + 1], which track has which modality.
        - fitted: bool [V + 1], tracks with a training placement. Learn from these alone.
        """
        return None

"""The contract of a missing-value policy: the part of a recipe that decides what replaces a missing modality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from toolkit.parts import Part

if TYPE_CHECKING:
    import numpy as np

Start = Literal["mean", "zero"]
"""Value of absent rows before a policy fills them: the mean of the training tracks, in the encoder's space, or zeros.
"""


class Rows(Protocol):
    """Rows of all tracks, float32 [V + 1, d]: a matrix, or rows computed when sliced.

    `rows[0 : len(rows)]` is the whole matrix.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> np.ndarray: ...


class Fill(Protocol):
    """Interface of the function that `Missing.fit` returns.

    It computes the rows of tracks that do not have a modality.
    """

    def __call__(self, modality: int, rows: Sequence[np.ndarray], present: np.ndarray) -> np.ndarray:
        """Return the rows of n tracks for one modality, float [n, d].

        - modality: index of the modality; none of these tracks has it.
        - rows: the rows of the same tracks in every modality, float32 [n, d_m] each. Absent rows have the value that
          `start` declares.
        - present: bool [M, n], which modalities each of these tracks has.
        """


class Missing(Part):
    """Base class of every missing-value policy. Its fields are its parameters; `fit` does the work.

    Entry-point group `segue.missing`.

    A class declares these properties for the item table:

    - start: value of absent rows before `fit` fills them. They keep it if `fit` returns None.
    - fills: whether an absent row is an estimate or a learned vector, rather than one neutral value for all tracks.
      Joins that leave missing modalities out refuse such a policy.
    - learned: whether the model learns one vector per modality, zero at first, which replaces every absent row.

    `segue.plugin.check_missing` tests a policy against this contract.
    """

    start: ClassVar[Start] = "zero"
    fills: ClassVar[bool] = True
    learned: ClassVar[bool] = False

    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill | None:
        """Learn from the training tracks how to fill absent rows. Return None to keep the value of `start`.

        - blocks: the rows of each modality, as the item table stores them (after `reduce: pca` and `normalise:
          before`); row 0 is padding.
        - present: bool [M, V + 1], which track has which modality.
        - fitted: bool [V + 1], tracks with a training placement. Learn only from these.
        """
        return None

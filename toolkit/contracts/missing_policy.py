"""Base class of missing-value policies, which replace the missing modalities of tracks."""

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
    """Rows of all tracks, float32 [V + 1, d], as a matrix or computed when sliced.

    `rows[0 : len(rows)]` is the whole matrix.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> np.ndarray: ...


class Fill(Protocol):
    """Interface of the function returned by `Missing.fit`.

    The function computes rows for tracks without a modality.
    """

    def __call__(self, modality: int, rows: Sequence[np.ndarray], present: np.ndarray) -> np.ndarray:
        """Return the rows of n tracks for one modality, float [n, d].

        - modality: index of the modality, which is missing for all n tracks.
        - rows: rows of the same tracks in every modality, float32 [n, d_m] each. Absent rows have the value declared by
          `start`.
        - present: bool [M, n], which modalities each track has.
        """


class Missing(Part):
    """Base class of missing-value policies. The fields are parameters, and `fit` implements the policy.

    Entry-point group `segue.missing`.

    A class declares the following properties for the item table:

    - start: value of absent rows before they are filled, which is kept if `fit` returns None.
    - fills: whether absent rows are estimates or learned vectors rather than a neutral value for all tracks. Such a
      policy cannot be used with a join that declares `leaves_out`.
    - learned: whether the model learns a vector per modality, initialised to zero, that replaces absent rows.

    `segue.plugin.check_missing` tests a policy against this contract.
    """

    start: ClassVar[Start] = "zero"
    fills: ClassVar[bool] = True
    learned: ClassVar[bool] = False

    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill | None:
        """Learn to fill absent rows from the training tracks. Return None to keep the value of `start`.

        - blocks: stored rows of each modality in the item table (after `reduce: pca` and `normalise: before`); row 0 is
          padding.
        - present: bool [M, V + 1], which tracks have each modality.
        - fitted: bool [V + 1], tracks in training playlists. Learn only from these tracks.
        """
        return None

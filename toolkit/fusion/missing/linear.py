"""The policy `linear`: absent rows are predicted from the modalities a track has, by ridge regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolkit.contracts.missing_policy import Fill, Missing, Rows

if TYPE_CHECKING:
    import numpy as np


class Linear(Missing):
    """Fills in values that a ridge regression predicts from the modalities that a track has.

    There is one regression for each combination of modalities. It learns from the tracks that have all of them and the
    missing modality too; where there is no such track, the mean is filled in. The penalty is chosen by generalised
    cross-validation. Source: Golub, Heath and Wahba 1979, "Generalized cross-validation as a method for choosing a
    good ridge parameter".
    """

    type: str = "linear"

    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill:
        """Raises `InputError` for too many columns."""
        from toolkit.fusion.impute import Affine, ridge_map
        from toolkit.fusion.moments import moments

        known = moments(blocks, present, fitted)
        return Affine(lambda has, modality: ridge_map(known, has, modality))

"""Policy `linear`: missing rows are predicted by ridge regression from the present modalities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolkit.contracts.missing_policy import Fill, Missing, Rows

if TYPE_CHECKING:
    import numpy as np


class Linear(Missing):
    """Imputation by ridge regression from the present modalities of a track.

    Each combination of modalities has its own regression. It is fitted to the tracks with all of these modalities and
    the missing modality. Without such tracks the mean is imputed. The penalty is chosen by generalised
    cross-validation. Source: Golub, Heath and Wahba 1979, "Generalized cross-validation as a method for choosing a good
    ridge parameter".
    """

    type: str = "linear"

    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill:
        """Return the fitted imputation. Raises `InputError` for too many columns."""
        from toolkit.fusion.impute import Affine, ridge_map
        from toolkit.fusion.moments import moments

        known = moments(blocks, present, fitted)
        return Affine(lambda has, modality: ridge_map(known, has, modality))

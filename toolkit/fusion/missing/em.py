"""Policy `em`: missing rows are predicted by a factor analysis from the present modalities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from toolkit.contracts.missing_policy import Fill, Missing, Rows

if TYPE_CHECKING:
    import numpy as np


class Em(Missing):
    """Imputation by factor analysis, from the present modalities of a track.

    The imputed values are the conditional expectation under x = μ + W z + e with `rank` factors, fitted by EM over all
    combinations of modalities. Source: Rubin and Thayer 1982, "EM algorithms for ML factor analysis"; Little and Rubin
    2019, section 11.3.
    """

    type: str = "em"
    rank: int = Field(32, ge=1, description="factors of the Gaussian")

    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill:
        """Return the fitted imputation. Raises `InputError` for too many columns."""
        from toolkit.fusion import factor_analysis
        from toolkit.fusion.impute import Affine
        from toolkit.fusion.moments import moments

        known = moments(blocks, present, fitted)
        factors = factor_analysis.fit(known, self.rank)
        return Affine(lambda has, modality: factor_analysis.conditional(factors, known, has, modality))

"""The policy `mask_token`: absent rows are a vector that the model learns."""

from __future__ import annotations

from typing import ClassVar

from toolkit.contracts.missing_policy import Missing


class MaskToken(Missing):
    """Fills in one vector for each modality, which the model learns.

    The vector is zero at first.
    """

    type: str = "mask_token"
    learned: ClassVar[bool] = True

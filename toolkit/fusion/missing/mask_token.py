"""Policy `mask_token`: missing rows are a trainable vector."""

from __future__ import annotations

from typing import ClassVar

from toolkit.contracts.missing_policy import Missing


class MaskToken(Missing):
    """Imputation by one trainable vector for each modality.

    The vector is initialised with zeros.
    """

    type: str = "mask_token"
    learned: ClassVar[bool] = True

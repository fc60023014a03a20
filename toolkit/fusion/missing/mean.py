"""Policy `mean`: missing rows are the mean of the training tracks."""

from __future__ import annotations

from typing import ClassVar

from toolkit.contracts.missing_policy import Missing, Start


class Mean(Missing):
    """Imputation by the mean of the training tracks.

    The mean is zero after rows are centred.
    """

    type: str = "mean"
    start: ClassVar[Start] = "mean"
    fills: ClassVar[bool] = False

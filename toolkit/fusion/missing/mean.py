"""The policy `mean`: absent rows are the mean of the training tracks."""

from __future__ import annotations

from typing import ClassVar

from toolkit.contracts.missing_policy import Missing, Start


class Mean(Missing):
    """Fills in the mean of the training tracks.

    The mean is zero once rows are centred.
    """

    type: str = "mean"
    start: ClassVar[Start] = "mean"
    fills: ClassVar[bool] = False

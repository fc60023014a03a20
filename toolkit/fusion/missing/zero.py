"""The policy `zero`: absent rows are zero."""

from __future__ import annotations

from typing import ClassVar

from toolkit.contracts.missing_policy import Missing


class Zero(Missing):
    """Fills in zeros, after rows have been reduced and normalised."""

    type: str = "zero"
    fills: ClassVar[bool] = False

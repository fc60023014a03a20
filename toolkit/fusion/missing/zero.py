"""Policy `zero`: missing rows are zero."""

from __future__ import annotations

from typing import ClassVar

from toolkit.contracts.missing_policy import Missing


class Zero(Missing):
    """Imputation by zeros, after rows are reduced and normalised."""

    type: str = "zero"
    fills: ClassVar[bool] = False

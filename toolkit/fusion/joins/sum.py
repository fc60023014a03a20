"""Join `sum`: a sum of projected modalities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from toolkit.contracts.join import Join, Shares

if TYPE_CHECKING:
    from torch import nn


class Sum(Join):
    """Sum of all modalities, each projected to the size of the model.

    Σ_m LayerNorm(P_m x_m).
    """

    type: str = "sum"
    keeps_apart: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    shares: ClassVar[Shares | None] = Shares("sum", "share of a track's vector, by length")

    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        from toolkit.fusion.joins.join_modules import Summands

        return Summands()

"""The join `gated`: a sum in which each track weighs its modalities by what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from toolkit.contracts.join import Join, Shares

if TYPE_CHECKING:
    from torch import nn


class Gated(Join):
    """The sum under a softmax over the modalities a track has (after Arevalo et al. 2017); all gates start equal."""

    type: str = "gated"
    keeps_apart: ClassVar[bool] = True
    needs_presence: ClassVar[bool] = True
    leaves_out: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    shares: ClassVar[Shares | None] = Shares("gate", "mean gate")
    key: ClassVar[str] = "gates"

    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        from toolkit.fusion.joins.networks import Gates

        return Gates(len(dims), hidden_size)

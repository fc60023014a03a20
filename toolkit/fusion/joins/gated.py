"""Join `gated`: a weighted sum with weights that depend on the track's content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from toolkit.contracts.join import Join, Shares

if TYPE_CHECKING:
    from torch import nn


class Gated(Join):
    """Sum of the projected modalities with weights that depend on the track.

    The weights are a softmax over the modalities of the track. All weights are equal at the start of training. Source:
    Arevalo et al. 2017.
    """

    type: str = "gated"
    keeps_apart: ClassVar[bool] = True
    needs_presence: ClassVar[bool] = True
    leaves_out: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    shares: ClassVar[Shares | None] = Shares("gate", "mean gate")
    key: ClassVar[str] = "gates"

    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        from toolkit.fusion.joins.join_modules import Gates

        return Gates(len(dims), hidden_size)

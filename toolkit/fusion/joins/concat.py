"""Join `concat`: one projection of all concatenated columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from toolkit.contracts.join import Join

if TYPE_CHECKING:
    from torch import nn


class Concat(Join):
    """Concatenation of all modalities, projected to the size of the model.

    LayerNorm(P [x₁; …; x_M]).
    """

    type: str = "concat"
    keeps_apart: ClassVar[bool] = False

    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        from toolkit.fusion.joins.join_modules import Concatenation

        return Concatenation()

"""Model `gru4rec`, with RecBole's GRU4Rec layers (Tan et al. 2016) over ids and content."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from toolkit.packages import RECBOLE, Package
from toolkit.recipe import ModelSpec

if TYPE_CHECKING:
    from torch import nn


class GRU4Rec(ModelSpec):
    """Gated recurrent network over ids and content, trained to predict every next track (RecBole's GRU4Rec)."""

    type: str = "gru4rec"
    requires: ClassVar[tuple[Package, ...]] = (RECBOLE,)
    layers: int = Field(1, ge=1)
    inner_size: int | None = Field(
        None, ge=1, description="size of the recurrent state; default: twice `hidden_size`, RecBole's ratio"
    )

    @property
    def inner(self) -> int:
        """Size of the recurrent state."""
        return self.inner_size or 2 * self.hidden_size

    def architecture(self) -> nn.Module:
        from toolkit.sequential.layers.gru_layers import GRULayers

        return GRULayers(
            self.hidden_size, layers=self.layers, inner=self.inner, length=self.max_length, dropout=self.dropout
        )

    def layer_parameters(self) -> int:
        hidden, inner = self.hidden_size, self.inner
        return 3 * inner * (hidden + inner) + (self.layers - 1) * 6 * inner**2 + inner * hidden

    def position_numbers(self) -> int:
        return self.layers * 4 * self.inner

    def sizes(self) -> dict[str, int]:
        return {
            "hidden_size": self.hidden_size,
            "inner_size": self.inner,
            "layers": self.layers,
            "max_length": self.max_length,
        }

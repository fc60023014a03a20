"""Shared settings of transformer models, with layers, heads and widths."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from toolkit.packages import RECBOLE, Package
from toolkit.recipe import ModelSpec

if TYPE_CHECKING:
    from torch import nn

    from toolkit.sequential.build_network import Host
    from toolkit.sequential.recbole.bridge import CatalogueSize, Config


class Blocks(ModelSpec):
    """Base class for models made of identical blocks with heads."""

    layers: int = Field(2, ge=1)
    heads: int = Field(2, ge=1)

    @model_validator(mode="after")
    def _whole_heads(self) -> Blocks:
        if self.hidden_size % self.heads:
            raise ValueError(
                f"hidden_size={self.hidden_size} must be a multiple of heads={self.heads}: change hidden_size"
            )
        return self

    def sizes(self) -> dict[str, int]:
        return {"hidden_size": self.hidden_size, "layers": self.layers, "max_length": self.max_length}


class Transformer(Blocks):
    """Base class for transformers with a feed-forward part."""

    inner_size: int | None = Field(None, ge=1, description="default: four times `hidden_size`")
    attention_dropout: float = Field(0.0, ge=0, lt=1)

    @property
    def inner(self) -> int:
        """Width of the feed-forward part."""
        return self.inner_size or 4 * self.hidden_size

    def layer_parameters(self) -> int:
        hidden = self.hidden_size
        attention = 4 * hidden * (hidden + 1) + 2 * hidden
        forward = 2 * hidden * self.inner + self.inner + hidden + 2 * hidden
        return self.layers * (attention + forward) + self.max_length * hidden

    def position_numbers(self) -> int:
        return self.layers * (4 * self.hidden_size + self.inner)

    def sizes(self) -> dict[str, int]:
        return {
            "hidden_size": self.hidden_size,
            "inner_size": self.inner,
            "layers": self.layers,
            "max_length": self.max_length,
        }


class RecBoleSpec(Transformer):
    """Base class for models with a network that extends a RecBole class."""

    requires: ClassVar[tuple[Package, ...]] = (RECBOLE,)

    def architecture(self) -> nn.Module:
        # RecBole's layers are only made inside a network: that of one track has them
        from toolkit.sequential.build_network import Host
        from toolkit.sequential.hosted_network import Layers
        from toolkit.sequential.item_space import Parts

        return Layers(self.network(Host(1, Parts())))

    def recbole_config(
        self, base: Literal["SASRec", "BERT4Rec"], host: Host, *, mask_ratio: float = 0.2
    ) -> tuple[Config, CatalogueSize]:
        """Return the two arguments of RecBole's class `base` for these settings."""
        from toolkit.sequential.recbole import bridge

        return bridge.model_config(
            base,
            n_items=host.n_items,
            hidden_size=self.hidden_size,
            layers=self.layers,
            heads=self.heads,
            inner_size=self.inner,
            max_length=self.max_length,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            mask_ratio=mask_ratio,
        )

"""What recipes of transformers share: layers, heads and widths."""

from __future__ import annotations

from pydantic import Field, model_validator

from toolkit.recipe import ModelSpec


class Blocks(ModelSpec):
    """Base of models made of equal blocks with heads."""

    layers: int = Field(2, ge=1)
    heads: int = Field(2, ge=1)

    @model_validator(mode="after")
    def _whole_heads(self) -> Blocks:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size={self.hidden_size} must be a multiple of heads={self.heads}")
        return self

    def sizes(self) -> dict[str, int]:
        return {"hidden_size": self.hidden_size, "layers": self.layers, "max_length": self.max_length}


class Transformer(Blocks):
    """Base of transformers with a feed-forward part."""

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

"""Model `hstu` of Zhai et al. 2024, "Actions speak louder than words", section 3, without timestamps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.sequential.models.transformer import Blocks

if TYPE_CHECKING:
    from torch import nn


class HSTU(Blocks):
    """Hierarchical sequential transduction units (HSTU), gated attention without softmax.

    Each head has a learned bias for each distance between tracks.
    """

    type: str = "hstu"

    def architecture(self) -> nn.Module:
        from toolkit.sequential.layers.hstu_layers import HSTULayers

        return HSTULayers(
            self.hidden_size, layers=self.layers, heads=self.heads, length=self.max_length, dropout=self.dropout
        )

    def layer_parameters(self) -> int:
        return (
            self.layers * (5 * self.hidden_size**2 + self.heads * self.max_length) + self.max_length * self.hidden_size
        )

    def position_numbers(self) -> int:
        return self.layers * 6 * self.hidden_size

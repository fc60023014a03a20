"""Model `ligr`, the transformer of eSASRec (Tikhonovich et al. 2025) with gated residuals and SwiGLU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.sequential.models.transformer import Transformer

if TYPE_CHECKING:
    from torch import nn


class LiGR(Transformer):
    """Transformer of eSASRec, pre-norm blocks with gated residuals (LiGR) and a SwiGLU feed-forward layer."""

    type: str = "ligr"

    def architecture(self) -> nn.Module:
        from toolkit.sequential.layers.ligr_layers import LiGRLayers

        return LiGRLayers(
            self.hidden_size,
            layers=self.layers,
            heads=self.heads,
            inner=self.inner,
            length=self.max_length,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
        )

    def layer_parameters(self) -> int:
        hidden = self.hidden_size
        return self.layers * (6 * hidden**2 + 3 * hidden * self.inner) + self.max_length * hidden

    def position_numbers(self) -> int:
        return self.layers * (7 * self.hidden_size + 3 * self.inner)

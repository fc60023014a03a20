"""Sequential model `gated-conv`: one gated convolution over the last tracks (Dauphin et al. 2017)."""

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from segue.plugin import ModelSpec


class GatedConv(ModelSpec):
    """A gated causal convolution over the last few tracks, added to the last one."""

    type: str = "gated-conv"
    width: int = Field(4, ge=2, description="tracks that a state is computed from")

    def architecture(self) -> nn.Module:
        return Layers(self.hidden_size, self.width, self.dropout)


class Layers(nn.Module):
    def __init__(self, hidden: int, width: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.conv, self.norm, self.dropout = (
            nn.Conv1d(hidden, 2 * hidden, width),
            nn.LayerNorm(hidden),
            nn.Dropout(dropout),
        )

    def forward(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Item vectors [B, T, H], kept bool [B, T] (False at padding) -> states [B, T, H]."""
        tracks = vectors * kept[..., None]
        before = F.pad(
            tracks.transpose(1, 2), (self.width - 1, 0)
        )  # zeros before the first track: no state sees a later one
        return self.norm(tracks + self.dropout(F.glu(self.conv(before), dim=1).transpose(1, 2)))

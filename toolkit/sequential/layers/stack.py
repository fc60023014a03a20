"""Stack of causal blocks."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from toolkit.sequential.layers.positions import Positions, start


class Stack(nn.Module):
    """Positions, blocks and a final LayerNorm, from left-aligned item vectors to hidden states [B, T, H]."""

    def __init__(self, hidden: int, positions: Positions, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.positions, self.blocks, self.norm = positions, nn.ModuleList(blocks), nn.LayerNorm(hidden)
        self.apply(start)

    def forward(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        # padding comes after the tracks: no track sees it
        hidden = self.positions(vectors)
        for block in self.blocks:
            hidden = block(hidden)
        return self.norm(hidden)

"""HSTU layers of Zhai et al. 2024, "Actions speak louder than words", section 3, without timestamps."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.sequential.layers.positions import Positions, heads_of
from toolkit.sequential.layers.stack import Stack


class Block(nn.Module):
    """Gated attention block with SiLU instead of softmax, divided by the length, with a bias for each distance."""

    def __init__(self, hidden: int, heads: int, length: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before, self.after = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.wide, self.out = nn.Linear(hidden, 4 * hidden), nn.Linear(hidden, hidden)
        self.distance = nn.Parameter(torch.zeros(heads * (length + 1)))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        gate, value, query, key = F.silu(self.wide(self.before(hidden))).chunk(4, -1)
        place = torch.arange(hidden.shape[1], device=hidden.device)
        apart = place[:, None] - place
        bias = self.distance.view(self.heads, -1)[:, apart.clamp(min=0)]
        scores = (
            heads_of(query, self.heads)
            @ heads_of(key, self.heads).transpose(-1, -2)
            * (hidden.shape[-1] / self.heads) ** -0.5
        )
        shares = F.silu(scores + bias) * (apart >= 0) / (place[:, None] + 1)
        mixed = (shares.to(value.dtype) @ heads_of(value, self.heads)).transpose(1, 2).flatten(2)
        return hidden + F.dropout(self.out(self.after(mixed) * gate), self.dropout, self.training)


class HSTULayers(Stack):
    """Stack of positions, HSTU blocks and a final LayerNorm."""

    def __init__(self, hidden: int, *, layers: int, heads: int, length: int, dropout: float) -> None:
        positions = Positions(hidden, length, dropout, norm=True)
        super().__init__(hidden, positions, (Block(hidden, heads, length, dropout) for _ in range(layers)))

"""What stands before the blocks of a transformer: position embedding and dropout."""

from __future__ import annotations

import torch
from torch import nn

START = 0.02


class Positions(nn.Module):
    """Adds a learned vector a position to item vectors [B, T, H], T <= length; then dropout, after a LayerNorm where `norm`."""

    def __init__(self, hidden: int, length: int, dropout: float, *, norm: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(length, hidden)
        nn.init.normal_(self.embedding.weight, std=START)
        self.norm = nn.LayerNorm(hidden) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        placed: torch.Tensor = self.dropout(self.norm(vectors + self.embedding.weight[: vectors.shape[1]]))
        return placed


def start(module: nn.Module) -> None:
    """Xavier's start of an `nn.Linear`'s matrix, zero of its bias; for `nn.Module.apply`."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def heads_of(hidden: torch.Tensor, heads: int) -> torch.Tensor:
    """[B, T, H] -> [B, heads, T, H / heads]."""
    return hidden.unflatten(-1, (heads, -1)).transpose(1, 2)

"""Position embedding and dropout before the blocks of a transformer."""

from __future__ import annotations

import torch
from torch import nn

START = 0.02


class Positions(nn.Module):
    """Learned position vectors added to item vectors [B, T, H], T ≤ length, followed by dropout.

    - norm: whether a LayerNorm precedes the dropout.
    """

    def __init__(self, hidden: int, length: int, dropout: float, *, norm: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(length, hidden)
        nn.init.normal_(self.embedding.weight, std=START)
        self.norm = nn.LayerNorm(hidden) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.norm(vectors + self.embedding.weight[: vectors.shape[1]]))


def start(module: nn.Module) -> None:
    """Initialise the matrix of an `nn.Linear` by Xavier's rule and its bias by zero, for `nn.Module.apply`."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def heads_of(hidden: torch.Tensor, heads: int) -> torch.Tensor:
    """Split the heads: [B, T, H] -> [B, heads, T, H / heads]."""
    return hidden.unflatten(-1, (heads, -1)).transpose(1, 2)

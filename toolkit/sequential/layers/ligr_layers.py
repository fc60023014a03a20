"""LiGR blocks with a SwiGLU feed-forward layer, as in eSASRec.

Borisyuk et al. 2025, "From Features to Transformers: Redefining Ranking for Scalable Impact" (arXiv:2502.03417);
Shazeer 2020, "GLU Variants Improve Transformer"; Tikhonovich et al. 2025, "eSASRec: Enhancing Transformer-based
Recommendations in a Modular Fashion" (RecSys 2025).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.sequential.layers.positions import Positions, heads_of
from toolkit.sequential.layers.stack import Stack


class Block(nn.Module):
    """Transformer block with gated residuals and a SwiGLU feed-forward layer.

    x <- x + σ(W₁ x) ∘ Attention(LN(x)); x <- x + σ(W₂ x) ∘ SwiGLU(LN(x)), where SwiGLU(y) = (SiLU(y A) ∘ y B) C.
    """

    def __init__(self, hidden: int, heads: int, inner: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.heads, self.attention_dropout = heads, attention_dropout
        self.attention_norm, self.forward_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attention_gate, self.forward_gate = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.projections, self.mix = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.widen, self.narrow = nn.Linear(hidden, 2 * inner, bias=False), nn.Linear(inner, hidden, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden = hidden + torch.sigmoid(self.attention_gate(hidden)) * self.dropout(
            self.attend(self.attention_norm(hidden))
        )
        return hidden + torch.sigmoid(self.forward_gate(hidden)) * self.dropout(self.feed(self.forward_norm(hidden)))

    def attend(self, hidden: torch.Tensor) -> torch.Tensor:
        """Compute causal softmax attention."""
        query, key, value = (heads_of(part, self.heads) for part in self.projections(hidden).chunk(3, -1))
        dropout = self.attention_dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, dropout_p=dropout)
        return self.mix(mixed.transpose(1, 2).flatten(2))

    def feed(self, hidden: torch.Tensor) -> torch.Tensor:
        """Compute SwiGLU at each position."""
        gate, value = self.widen(hidden).chunk(2, -1)
        return self.narrow(self.dropout(F.silu(gate) * value))


class LiGRLayers(Stack):
    """Stack of positions, LiGR blocks and a LayerNorm of the residual path."""

    def __init__(
        self, hidden: int, *, layers: int, heads: int, inner: int, length: int, dropout: float, attention_dropout: float
    ) -> None:
        positions = Positions(hidden, length, dropout)
        super().__init__(
            hidden, positions, (Block(hidden, heads, inner, dropout, attention_dropout) for _ in range(layers))
        )

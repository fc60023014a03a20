"""RecBole's transformer layers, run through `scaled_dot_product_attention` over its own parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F


def attend(layer: Any, hidden: torch.Tensor, *, causal: bool, keys: torch.Tensor | None) -> torch.Tensor:
    """One `MultiHeadAttention` of RecBole, [B, T, H] -> [B, T, H].

    keys: bool [B, 1, 1, T], False at padding; None where no query can see any
    (causal attention over left-aligned playlists).
    """
    batch, length, _ = hidden.shape
    weight = torch.cat([layer.query.weight, layer.key.weight, layer.value.weight])
    bias = torch.cat([layer.query.bias, layer.key.bias, layer.value.bias])
    projected = F.linear(hidden, weight, bias).view(batch, length, 3, layer.num_attention_heads, -1)
    query, key, value = projected.permute(2, 0, 3, 1, 4)
    dropout = layer.attn_dropout.p if layer.training else 0.0
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=keys, is_causal=causal, dropout_p=dropout)
    out = layer.dense(mixed.transpose(1, 2).reshape(batch, length, -1))
    return layer.LayerNorm(layer.out_dropout(out) + hidden)


def encode(encoder: Any, hidden: torch.Tensor, *, causal: bool, keys: torch.Tensor | None = None) -> torch.Tensor:
    """A RecBole `TransformerEncoder`, last layer's output: [B, T, H] -> [B, T, H]."""
    for layer in encoder.layer:
        hidden = layer.feed_forward(attend(layer.multi_head_attention, hidden, causal=causal, keys=keys))
    return hidden

"""RecBole's transformer layers, run through `scaled_dot_product_attention` over its own parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F


def drop(hidden: torch.Tensor, share: float) -> torch.Tensor:
    """Dropout of training; on a CPU four masks from each 64-bit draw, a third of the time of `F.dropout`'s one draw a value.

    `share` is then rounded to 1/65536.
    """
    if share <= 0 or share >= 1 or hidden.device.type != "cpu":
        return F.dropout(hidden, share)
    draws = torch.empty(-(-hidden.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.int16)[: hidden.numel()].view(hidden.shape) >= round(share * 2**16) - 2**15
    return hidden * kept.to(hidden.dtype).mul_(1 / (1 - share))


def dropped(module: Any, hidden: torch.Tensor) -> torch.Tensor:
    """An `nn.Dropout` of RecBole, by `drop`."""
    return drop(hidden, module.p) if module.training else hidden


def feed_forward(layer: Any, hidden: torch.Tensor) -> torch.Tensor:
    """One `FeedForward` of RecBole, [..., H] -> [..., H]; its gelu in one kernel instead of nine."""
    activation = F.gelu if layer.intermediate_act_fn == layer.gelu else layer.intermediate_act_fn
    inner = layer.dense_2(activation(layer.dense_1(hidden)))
    return layer.LayerNorm(dropped(layer.dropout, inner) + hidden)


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
    if projected.dtype == torch.bfloat16 and projected.device.type == "cpu":
        # its gradient takes four times as long in bfloat16 there
        with torch.autocast("cpu", enabled=False):
            query, key, value = query.float(), key.float(), value.float()
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=keys, is_causal=causal, dropout_p=dropout)
    else:
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=keys, is_causal=causal, dropout_p=dropout)
    out = layer.dense(mixed.transpose(1, 2).reshape(batch, length, -1))
    return layer.LayerNorm(dropped(layer.out_dropout, out) + hidden)


def encode(encoder: Any, hidden: torch.Tensor, *, causal: bool, keys: torch.Tensor | None = None) -> torch.Tensor:
    """A RecBole `TransformerEncoder`, last layer's output: [B, T, H] -> [B, T, H]."""
    for layer in encoder.layer:
        hidden = feed_forward(layer.feed_forward, attend(layer.multi_head_attention, hidden, causal=causal, keys=keys))
    return hidden

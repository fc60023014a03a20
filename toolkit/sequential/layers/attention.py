"""RecBole's transformer layers computed by `scaled_dot_product_attention`, with padded or packed playlists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from toolkit.sequential.recbole.bridge import FeedForward, MultiHeadAttention, TransformerEncoder


@dataclass(frozen=True)
class Packing:
    """Positions of the N tracks in padded playlists [B, T], ordered by playlist.

    - rows, columns: int64 [N], the padded position of each track.
    - shape: (B, T).
    - offsets: int64 [B + 1], the start of each playlist.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    offsets: torch.Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, kept: torch.Tensor) -> Packing:
        """Return the packing of `kept`, bool [B, T] with at least one True in each row."""
        rows, columns = kept.nonzero(as_tuple=True)
        return cls(rows, columns, F.pad(kept.sum(1).cumsum(0), (1, 0)), (len(kept), kept.shape[1]))

    def pack(self, padded: torch.Tensor) -> torch.Tensor:
        """Remove padding: [B, T, H] -> [N, H]."""
        return padded[self.rows, self.columns]

    def unpack(self, packed: torch.Tensor) -> torch.Tensor:
        """Restore padding with zeros: [N, H] -> [B, T, H]."""
        return packed.new_zeros(*self.shape, packed.shape[-1]).index_put((self.rows, self.columns), packed)

    def attend(self, projected: torch.Tensor, *, causal: bool, dropout: float) -> torch.Tensor:
        """Compute attention within each playlist: query, key and value [N, 3, heads, d] -> [N, heads, d].

        PyTorch has no kernel for `causal` on a CPU.
        """
        query, key, value = (
            # given as bounds, which need not be tight, the lengths are not fetched from the device
            torch.nested.nested_tensor_from_jagged(
                part.contiguous(), self.offsets, min_seqlen=1, max_seqlen=self.shape[1]
            )
            for part in projected.unbind(1)
        )
        mixed = F.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_causal=causal, dropout_p=dropout
        )
        return mixed.transpose(1, 2).values()


def drop(hidden: torch.Tensor, share: float) -> torch.Tensor:
    """Apply training dropout with probability `share`.

    On a CPU four masks are taken from each 64-bit random number, which takes a third of the time of `F.dropout`. There
    `share` is rounded to 1/65536.
    """
    if share <= 0 or share >= 1 or hidden.device.type != "cpu":
        return F.dropout(hidden, share)
    draws = torch.empty(-(-hidden.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.int16)[: hidden.numel()].view(hidden.shape) >= round(share * 2**16) - 2**15
    return hidden * kept.to(hidden.dtype).mul_(1 / (1 - share))


def dropped(module: nn.Dropout, hidden: torch.Tensor) -> torch.Tensor:
    """Apply an `nn.Dropout` of RecBole by `drop`."""
    return drop(hidden, module.p) if module.training else hidden


def feed_forward(layer: FeedForward, hidden: torch.Tensor) -> torch.Tensor:
    """Apply a `FeedForward` of RecBole, [..., H] -> [..., H], with its GELU in one kernel instead of nine."""
    activation = F.gelu if layer.intermediate_act_fn == layer.gelu else layer.intermediate_act_fn
    inner = layer.dense_2(activation(layer.dense_1(hidden)))
    return layer.LayerNorm(dropped(layer.dropout, inner) + hidden)


def attend(
    layer: MultiHeadAttention,
    hidden: torch.Tensor,
    *,
    causal: bool,
    keys: torch.Tensor | None,
    packing: Packing | None = None,
) -> torch.Tensor:
    """Apply a `MultiHeadAttention` of RecBole, [B, T, H] -> [B, T, H], or packed [N, H] -> [N, H].

    - keys: bool [B, 1, 1, T], False at padding. None if no query can attend to padding, as in causal attention over
      left-aligned or packed playlists.
    """
    weight = torch.cat([layer.query.weight, layer.key.weight, layer.value.weight])
    bias = torch.cat([layer.query.bias, layer.key.bias, layer.value.bias])
    projected = F.linear(hidden, weight, bias).unflatten(-1, (3, layer.num_attention_heads, -1))
    dropout = layer.attn_dropout.p if layer.training else 0.0
    if packing is not None:
        mixed = packing.attend(projected, causal=causal, dropout=dropout)
    else:
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        if projected.dtype == torch.bfloat16 and projected.device.type == "cpu":
            # its gradient takes four times as long in bfloat16 there
            with torch.autocast("cpu", enabled=False):
                query, key, value = query.float(), key.float(), value.float()
                mixed = F.scaled_dot_product_attention(
                    query, key, value, attn_mask=keys, is_causal=causal, dropout_p=dropout
                )
        else:
            mixed = F.scaled_dot_product_attention(
                query, key, value, attn_mask=keys, is_causal=causal, dropout_p=dropout
            )
        mixed = mixed.transpose(1, 2)
    out = layer.dense(mixed.flatten(-2))
    return layer.LayerNorm(dropped(layer.out_dropout, out) + hidden)


def encode(
    encoder: TransformerEncoder,
    hidden: torch.Tensor,
    *,
    causal: bool,
    keys: torch.Tensor | None = None,
    packing: Packing | None = None,
) -> torch.Tensor:
    """Return the last layer of a RecBole `TransformerEncoder`: [B, T, H] -> [B, T, H], or packed [N, H] -> [N, H]."""
    for layer in encoder.layer:
        hidden = feed_forward(
            layer.feed_forward, attend(layer.multi_head_attention, hidden, causal=causal, keys=keys, packing=packing)
        )
    return hidden

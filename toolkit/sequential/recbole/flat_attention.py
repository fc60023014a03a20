"""The layers of RecBole's transformers, for the objectives: one stack, or one a stream under late fusion."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from toolkit.sequential.layers.attention import Packing, dropped, encode


class Stack(nn.Module):
    """What RecBole's model has once, again for another stream; freshly initialised.

    mask: vector [H] that stands at masked positions, where the model hides any.
    """

    def __init__(self, model: Any, *, masks: bool) -> None:
        super().__init__()
        self.position_embedding = copy.deepcopy(model.position_embedding)
        self.LayerNorm = copy.deepcopy(model.LayerNorm)
        self.trm_encoder = copy.deepcopy(model.trm_encoder)
        self.apply(model._init_weights)
        self.mask = nn.Parameter(torch.randn(model.hidden_size) * model.initializer_range) if masks else None


class RecBoleLayers:
    """Mixed into an objective over RecBole's SASRec or BERT4Rec, before the objective."""

    packs = False
    """Whether training runs the transformer without padding."""

    def stack(self: Any) -> nn.Module:
        """Another transformer, for one more stream."""
        return Stack(self, masks=not self.causal)

    def prepare(self: Any, device: str) -> None:
        """Packed playlists: PyTorch's kernels are for CUDA only, and heads of whole groups of 8."""
        self.packs = device.startswith("cuda") and self.hidden_size // self.n_heads % 8 == 0

    def last_layer(
        self: Any, inputs: torch.Tensor, titles: torch.Tensor | None, kept: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Last hidden layer [B, T, H] from item vectors, of the one stack or of each stream's.

        titles: [B, d] where the model reads them. kept: bool [B, T], False at padding; None where there is none to tell.
        """
        packing = Packing.of(kept) if kept is not None and self.packs and self.training else None
        length, keys, added = inputs.shape[1], None, None
        if titles is not None:
            added = self.title_projection(titles)
            added = added[:, None] if packing is None else added[packing.rows]
        if packing is not None:
            inputs = packing.pack(inputs)
        elif kept is not None and not self.causal and not bool(kept.all()):
            keys = kept[:, None, None, :]

        def run(stack: Any, part: torch.Tensor) -> torch.Tensor:
            places = stack.position_embedding.weight[:length]
            hidden = dropped(
                self.dropout, stack.LayerNorm(part + (places if packing is None else places[packing.columns]))
            )
            hidden = hidden if added is None else hidden + added
            return encode(stack.trm_encoder, hidden, causal=self.causal, keys=keys, packing=packing)

        last = run(self, inputs) if self.late is None else self.late.run(run, self, inputs)
        return last if packing is None else packing.unpack(last)

"""Late fusion: a transformer stack a modality, their last hidden layers added with learned weights.

Architecture (b) of the multimodal BERT4Rec report. The free ids are a stream like any modality; the first stream
runs through RecBole's own stack, so that a stock checkpoint's ids load, and each further one through a stack of its
own: position embedding, LayerNorm and encoder of the same sizes. What is added is Σ_m w_m h_m, and a LayerNorm
follows; with one stream that is the early model with one LayerNorm more.

An item on the output side is the sum of its stream vectors, the ones the stacks read (a tied head). The fused state
is one vector of the model's size, so a score is ⟨state, item⟩ and all candidates are one matrix product with one table
[V + 1, H] whatever the number of modalities; each modality weighs there by the LayerNorm of its own projection.
Keeping streams apart on that side too would score with a table M times as wide, for weights the sum already has.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


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


class LateFusion(nn.Module):
    """The stacks after the first, and the sum of all last hidden layers.

    regularise: whether a LayerNorm follows the sum.
    """

    def __init__(self, model: Any, streams: int, *, masks: bool, regularise: bool) -> None:
        super().__init__()
        self.stacks = nn.ModuleList(Stack(model, masks=masks) for _ in range(streams - 1))
        self.weight = nn.Parameter(torch.full((streams,), 1.0 / streams))
        self.norm = nn.LayerNorm(model.hidden_size, eps=model.layer_norm_eps) if regularise else nn.Identity()

    def forward(self, hidden: Sequence[torch.Tensor]) -> torch.Tensor:
        """Last hidden layers, one [B, T, H] a stream, in their order -> [B, T, H]."""
        mixed: torch.Tensor = self.norm(torch.stack([weight * layer for weight, layer in zip(self.weight, hidden, strict=True)]).sum(0))
        return mixed

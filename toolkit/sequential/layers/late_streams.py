"""Late fusion: a transformer stack a modality, their last hidden layers added with learned weights.

Architecture (b) of the multimodal BERT4Rec report. The free ids are a stream like any modality; the first stream
runs through the network's own layers (RecBole's, so that a stock checkpoint's ids load), and each further one through
others of the same sizes. What is added is Σ_m w_m h_m, and a LayerNorm
follows; with one stream that is the early model with one LayerNorm more.

An item on the output side is the sum of its stream vectors, the ones the stacks read (a tied head). The fused state
is one vector of the model's size, so a score is ⟨state, item⟩ and all candidates are one matrix product with one table
[V + 1, H] whatever the number of modalities; each modality weighs there by the LayerNorm of its own projection.
Keeping streams apart on that side too would score with a table M times as wide, for weights the sum already has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

EPS = 1e-12
"""RecBole's, in all its LayerNorms."""


class LateFusion(nn.Module):
    """The stacks after the first, and the sum of all last hidden layers.

    stacks: layers of the streams after the first, `mask` [H] among their attributes. regularise: whether a LayerNorm follows the sum.
    """

    def __init__(self, stacks: Sequence[nn.Module], hidden_size: int, *, regularise: bool) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.stacks = nn.ModuleList(stacks)
        streams = len(stacks) + 1
        self.weight = nn.Parameter(torch.full((streams,), 1.0 / streams))
        self.norm = nn.LayerNorm(hidden_size, eps=EPS) if regularise else nn.Identity()

    def run(
        self, layers: Callable[[Any, torch.Tensor], torch.Tensor], first: Any, inputs: torch.Tensor
    ) -> torch.Tensor:
        """The fused last layer of inputs [..., streams x H]: each stream through `layers` with its stack, the first with `first`."""
        streams = zip([first, *self.stacks], inputs.split(self.hidden_size, dim=-1), strict=True)
        mixed: torch.Tensor = self([layers(stack, part) for stack, part in streams])
        return mixed

    def forward(self, hidden: Sequence[torch.Tensor]) -> torch.Tensor:
        """Last hidden layers, one [B, T, H] a stream, in their order -> [B, T, H]."""
        mixed: torch.Tensor = self.norm(
            torch.stack([weight * layer for weight, layer in zip(self.weight, hidden, strict=True)]).sum(0)
        )
        return mixed

"""Late fusion: a stack of layers per modality, whose last hidden layers are added with learned weights.

Architecture (b) of the multimodal BERT4Rec report. The free ids are a stream like any modality. The first stream runs
through the network's own layers (RecBole's, so that a stock checkpoint's ids load), and each further one through others
of the same sizes. The sum is Σ_m w_m h_m, followed by a LayerNorm; with one stream that is the early model with one
LayerNorm more.

An item on the output side is the sum of its stream vectors, the ones the stacks read (a tied head). The fused state is
one vector of the model's size, so a score is ⟨state, item⟩ and all candidates are one matrix product with one table
[V + 1, H], whatever the number of modalities. Each modality weighs there by the LayerNorm of its own projection.
Keeping streams apart on that side too would need a table M times as wide, for weights the sum already has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import nn

EPS = 1e-12
"""RecBole's, in all its LayerNorms."""

Stack = TypeVar("Stack")


class LateFusion(nn.Module):
    """The stacks of all streams but the first, and the weighted sum of all last hidden layers.

    - regularise: whether a LayerNorm follows the sum.
    """

    def __init__(self, stacks: Sequence[nn.Module], hidden_size: int, *, regularise: bool) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.stacks = nn.ModuleList(stacks)
        streams = len(stacks) + 1
        self.weight = nn.Parameter(torch.full((streams,), 1.0 / streams))
        self.norm = nn.LayerNorm(hidden_size, eps=EPS) if regularise else nn.Identity()

    def run(
        self, layers: Callable[[Stack, torch.Tensor], torch.Tensor], stacks: Sequence[Stack], inputs: torch.Tensor
    ) -> torch.Tensor:
        """Fused last layer [..., H] of inputs [..., streams · H]: `layers` runs each stream through its stack."""
        parts = inputs.split(self.hidden_size, dim=-1)
        return self([layers(stack, part) for stack, part in zip(stacks, parts, strict=True)])

    def forward(self, hidden: Sequence[torch.Tensor]) -> torch.Tensor:
        """Last hidden layers, one [B, T, H] per stream, in their order -> [B, T, H]."""
        return self.norm(
            torch.stack([weight * layer for weight, layer in zip(self.weight, hidden, strict=True)]).sum(0)
        )

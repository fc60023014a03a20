"""Late fusion by a stack of layers for each modality, with a learned weighted sum of their last hidden layers.

Architecture (b) of the multimodal BERT4Rec report. The free ids are a stream like any modality. The first stream uses
the network's own layers (RecBole's, so a stock checkpoint loads). Each further stream uses new layers of the same
sizes. The last layers h_m are added in one of two forms: LN(Σ_m w_m h_m) with learned factors w_m, or Σ_m LN_m(h_m).
In the second form, which is that of the authors' code, the gains of each LayerNorm are the weights. With one stream
both are the early-fusion model plus a LayerNorm.

The output vector of an item is the sum of its input vectors over streams (a tied head). The fused state is a single
vector of the model's size, so a score is ⟨state, item⟩ and all candidates are scored by a matrix product with a table
[V + 1, H] for any number of modalities. In this sum a modality is weighted by the LayerNorm of its projection. Separate
output streams would require a table M times as wide and would add no weights that the sum does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import torch
from torch import nn

EPS = 1e-12
"""RecBole's, in all its LayerNorms."""

Stack = TypeVar("Stack")

LateNorm = Literal["none", "sum", "each"]


class LateFusion(nn.Module):
    """Stacks of all streams but the first, with a weighted sum of the last hidden layers.

    - norm: where a LayerNorm is: after the weighted sum (`sum`), on each last layer in place of the weights (`each`),
      or nowhere (`none`).
    """

    def __init__(self, stacks: Sequence[nn.Module], hidden_size: int, *, norm: LateNorm) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.stacks = nn.ModuleList(stacks)
        streams = len(stacks) + 1
        self.norms: nn.ModuleList | None = None
        if norm == "each":
            self.norms = nn.ModuleList(nn.LayerNorm(hidden_size, eps=EPS) for _ in range(streams))
            return
        self.weight = nn.Parameter(torch.full((streams,), 1.0 / streams))
        self.norm = nn.LayerNorm(hidden_size, eps=EPS) if norm == "sum" else nn.Identity()

    def run(
        self, layers: Callable[[Stack, torch.Tensor], torch.Tensor], stacks: Sequence[Stack], inputs: torch.Tensor
    ) -> torch.Tensor:
        """Apply `layers` to each stream with its stack, and return the fused last layer [..., H].

        - inputs: [..., streams · H].
        """
        parts = inputs.split(self.hidden_size, dim=-1)
        return self([layers(stack, part) for stack, part in zip(stacks, parts, strict=True)])

    def forward(self, hidden: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the weighted sum [B, T, H] of the last hidden layers, [B, T, H] for each stream in order."""
        if self.norms is not None:
            return torch.stack([norm(layer) for norm, layer in zip(self.norms, hidden, strict=True)]).sum(0)
        return self.norm(
            torch.stack([weight * layer for weight, layer in zip(self.weight, hidden, strict=True)]).sum(0)
        )

    def weights(self) -> list[float]:
        """Return the weight of each stream: its factor, or the mean absolute gain of its LayerNorm."""
        if self.norms is not None:
            return [float(norm.get_parameter("weight").detach().abs().mean()) for norm in self.norms]
        factors: list[float] = self.weight.tolist()
        return factors

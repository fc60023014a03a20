"""Modules of the built-in joins, separate from their declarations because recipes are checked without torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from toolkit.contracts.join import JoinInputs

ABSENT = -1e4  # score of a missing modality: e to this is zero, and a track without any has no NaN


class Concatenation(nn.Module):
    """Concatenation of all columns, without parameters. The item table projects the result."""

    def forward(self, inputs: JoinInputs) -> torch.Tensor:
        """Return M tensors [n, d_m] as one tensor [n, Σ d_m]."""
        return torch.cat(list(inputs.vectors), dim=-1)


class Streams(nn.Module, ABC):
    """Base class for joins that add one vector for each modality. These vectors are the streams in late fusion."""

    @abstractmethod
    def streams(self, inputs: JoinInputs) -> Sequence[torch.Tensor]:
        """Return the summands: M tensors [n, H]."""

    def forward(self, inputs: JoinInputs) -> torch.Tensor:
        """Return the sum of the streams: [n, H]."""
        return torch.stack(list(self.streams(inputs))).sum(0)


class Summands(Streams):
    """Projected modalities as streams, without parameters."""

    def streams(self, inputs: JoinInputs) -> Sequence[torch.Tensor]:
        return inputs.vectors

    def shares(self, inputs: JoinInputs) -> torch.Tensor:
        """Return the length of each summand divided by the sum of all lengths: [n, M]."""
        lengths = torch.stack([part.norm(dim=1) for part in inputs.vectors], dim=1)
        return lengths / lengths.sum(1, keepdim=True).clamp(min=1e-12)


class Gates(Streams):
    """Gates g = softmax over the present modalities m of ⟨u_m, tanh(p_m)⟩ + b_m, with projected modalities p_m.

    The gates follow the gated multimodal unit (Arevalo et al. 2017, "Gated multimodal units for information fusion",
    section 3), but each gate depends only on its own modality. A missing modality changes only the shares of the other
    modalities. All shares are equal at the start.
    """

    def __init__(self, modalities: int, hidden_size: int) -> None:
        super().__init__()
        # one vector each: the model's initialisation would draw a matrix again
        self.weights = nn.ParameterList(torch.zeros(hidden_size) for _ in range(modalities))
        self.bias = nn.Parameter(torch.zeros(modalities))

    def shares(self, inputs: JoinInputs) -> torch.Tensor:
        """Return the share of each modality in each track: [n, M]; zeros for a track without any modality."""
        assert inputs.present is not None
        scores = torch.stack(
            [torch.tanh(part) @ weight for part, weight in zip(inputs.projected, self.weights, strict=True)], dim=1
        )
        return (scores + self.bias).float().masked_fill(~inputs.present, ABSENT).softmax(dim=1) * inputs.present

    def streams(self, inputs: JoinInputs) -> Sequence[torch.Tensor]:
        """Return each modality multiplied by its gate."""
        shares = self.shares(inputs).split(1, dim=1)
        return [part * share for part, share in zip(inputs.vectors, shares, strict=True)]

"""The modules of the built-in joins. Their declarations are elsewhere: a recipe is checked without importing torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from toolkit.contracts.join import JoinInputs

ABSENT = -1e4  # score of a missing modality: e to this is zero, and a track without any has no NaN


class Concatenation(nn.Module):
    """All columns side by side. It has no parameters: the table projects the result."""

    def forward(self, inputs: JoinInputs) -> torch.Tensor:
        """M tensors [n, d_m] to [n, Σ d_m]."""
        return torch.cat(list(inputs.vectors), dim=-1)


class Streams(nn.Module, ABC):
    """Base class of joins that add one vector per modality; these vectors are the streams of late fusion."""

    @abstractmethod
    def streams(self, inputs: JoinInputs) -> Sequence[torch.Tensor]:
        """The summands: M tensors [n, H]."""

    def forward(self, inputs: JoinInputs) -> torch.Tensor:
        """Their sum: [n, H]."""
        return torch.stack(list(self.streams(inputs))).sum(0)


class Summands(Streams):
    """The projected modalities unchanged. It has no parameters of its own."""

    def streams(self, inputs: JoinInputs) -> Sequence[torch.Tensor]:
        return inputs.vectors

    def shares(self, inputs: JoinInputs) -> torch.Tensor:
        """The length of each summand among the lengths of all: [n, M]."""
        lengths = torch.stack([part.norm(dim=1) for part in inputs.vectors], dim=1)
        return lengths / lengths.sum(1, keepdim=True).clamp(min=1e-12)


class Gates(Streams):
    """Shares g = softmax over the present modalities m of ⟨u_m, tanh(p_m)⟩ + b_m, p_m a modality in the model's space.

    After the gated multimodal unit (Arevalo et al. 2017, "Gated multimodal units for information fusion", section 3):
    its tanh of a projection, but each modality's gate depends on that modality alone. A missing modality changes only
    the shares of the others. All shares start equal.
    """

    def __init__(self, modalities: int, hidden_size: int) -> None:
        super().__init__()
        # one vector each: the model's initialisation would draw a matrix again
        self.weights = nn.ParameterList(torch.zeros(hidden_size) for _ in range(modalities))
        self.bias = nn.Parameter(torch.zeros(modalities))

    def shares(self, inputs: JoinInputs) -> torch.Tensor:
        """Share of each modality in each track: [n, M]; zeros for a track without any modality."""
        assert inputs.present is not None
        scores = torch.stack(
            [torch.tanh(part) @ weight for part, weight in zip(inputs.projected, self.weights, strict=True)], dim=1
        )
        return (scores + self.bias).float().masked_fill(~inputs.present, ABSENT).softmax(dim=1) * inputs.present

    def streams(self, inputs: JoinInputs) -> Sequence[torch.Tensor]:
        """Each modality times its gate."""
        shares = self.shares(inputs).split(1, dim=1)
        return [part * share for part, share in zip(inputs.vectors, shares, strict=True)]

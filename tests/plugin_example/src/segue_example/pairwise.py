"""Join `pairwise`: a factorisation machine's second-order term over modalities (Rendle 2010)."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn

from segue.plugin import Join, JoinInputs


class Pairwise(Join):
    """The sum of the modalities, plus the products of each two of them by a learned weight."""

    type: str = "pairwise"
    keeps_apart: ClassVar[bool] = True

    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        return Products(hidden_size)


class Products(nn.Module):
    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(hidden_size))  # starts as the sum alone

    def forward(self, inputs: JoinInputs) -> torch.Tensor:
        """Projected modalities [n, H] each -> [n, H]."""
        parts = torch.stack(list(inputs.vectors))
        total = parts.sum(0)
        return total + self.weight * (total**2 - (parts**2).sum(0)) / 2

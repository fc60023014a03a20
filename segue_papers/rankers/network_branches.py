"""Networks over several modalities, with a branch for each.

Oramas et al. 2017, "A deep multimodal approach for cold-start music recommendation".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Branches(nn.Module):
    """Concatenated outputs of a branch for each modality, from the columns of all modalities [n, sum of widths].

    A row of a modality with only zeros is missing. The output of its branch is zero.
    """

    def __init__(self, widths: Sequence[int], branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.widths = list(widths)
        self.branches = nn.ModuleList(branches)

    def forward(self, rows: Tensor) -> Tensor:
        parts = rows.split(self.widths, dim=1)
        outputs = [
            branch(part) * part.any(dim=1, keepdim=True) for branch, part in zip(self.branches, parts, strict=True)
        ]
        return torch.cat(outputs, dim=1)


class UnitBranch(nn.Module):
    """Branch that scales rows to unit norm."""

    def forward(self, rows: Tensor) -> Tensor:
        return nn.functional.normalize(rows, dim=1)


class DenseBranch(nn.Sequential):
    """Branch with batch normalisation, dropout of the inputs, a dense layer and ReLU."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__(nn.BatchNorm1d(width), nn.Dropout(dropout), nn.Linear(width, hidden), nn.ReLU())


class ConvolutionBranch(nn.Module):
    """Branch with convolutions over spectrograms [n, bins, frames], read as flat rows [n, bins · frames]."""

    def __init__(self, convolutions: nn.Module, bins: int) -> None:
        super().__init__()
        self.convolutions, self.bins = convolutions, bins

    def forward(self, rows: Tensor) -> Tensor:
        output: Tensor = self.convolutions(rows.unflatten(1, (self.bins, -1)))
        return output

"""The networks of rankers over several modalities: a branch for each, joined."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Branches(nn.Module):
    """Modalities side by side (n, sum of widths) -> what their branches give, joined.

    A modality that is all zeros is one that the track lacks, and gives zeros.
    """

    def __init__(self, widths: Sequence[int], branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.widths = list(widths)
        self.branches = nn.ModuleList(branches)

    def forward(self, rows: Tensor) -> Tensor:
        parts = rows.split(self.widths, dim=1)
        found = [
            branch(part) * part.any(dim=1, keepdim=True) for branch, part in zip(self.branches, parts, strict=True)
        ]
        return torch.cat(found, dim=1)


class UnitBranch(nn.Module):
    """Length 1."""

    def forward(self, rows: Tensor) -> Tensor:
        return nn.functional.normalize(rows, dim=1)


class DenseBranch(nn.Sequential):
    """Batch normalisation, a dense layer, ReLU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(nn.BatchNorm1d(width), nn.Linear(width, hidden), nn.ReLU())


class ConvolutionBranch(nn.Module):
    """Flat spectrograms (n, bins · frames) through convolutions over (n, bins, frames)."""

    def __init__(self, convolutions: nn.Module, bins: int) -> None:
        super().__init__()
        self.convolutions, self.bins = convolutions, bins

    def forward(self, rows: Tensor) -> Tensor:
        found: Tensor = self.convolutions(rows.unflatten(1, (self.bins, -1)))
        return found

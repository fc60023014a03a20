"""What several networks are made of: dense layers, and convolutions over time alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def dense(sizes: Sequence[int]) -> nn.Sequential:
    """(n, sizes[0]) -> (n, sizes[-1]): a layer for each size after the first, with ReLU."""
    from torch import nn

    return nn.Sequential(*(layer for low, high in pairwise(sizes) for layer in (nn.Linear(low, high), nn.ReLU())))


def convolutions(bins: int, filters: Sequence[int], kernel: int, pool: int) -> nn.Sequential:
    """(n, bins, frames) -> (n, filters[-1] · frames_left): ReLU after each layer, max-pooling after all but the last, which is padded."""
    from torch import nn

    layers: list[nn.Module] = []
    before = bins
    for wide in filters[:-1]:
        layers += [nn.Conv1d(before, wide, kernel), nn.ReLU(), nn.MaxPool1d(pool)]
        before = wide
    around = kernel - 1
    layers += [nn.ZeroPad1d((around // 2, around - around // 2)), nn.Conv1d(before, filters[-1], kernel)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Flatten())


def frames_left(frames: int, filters: Sequence[int], kernel: int, pool: int) -> int:
    """Frames after the last layer; below 1 where nothing is left."""
    for _ in filters[:-1]:
        frames = (frames - kernel + 1) // pool
    return frames

"""Dense layers and convolutions over time that several networks share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def dense(sizes: Sequence[int]) -> nn.Sequential:
    """Return dense layers with ReLU, one for each size after the first, [n, sizes[0]] -> [n, sizes[-1]]."""
    from torch import nn

    return nn.Sequential(*(layer for low, high in pairwise(sizes) for layer in (nn.Linear(low, high), nn.ReLU())))


def convolutions(bins: int, filters: Sequence[int], kernel: int, pool: int, dropout: float = 0) -> nn.Sequential:
    """Return convolutions over time with ReLU, [n, bins, frames] -> [n, filters[-1] · frames_left].

    Each bin is first standardised over the inputs. A network over decibels, which are all positive, otherwise begins at
    one prediction for all inputs and takes hundreds of steps to leave it. Max-pooling and dropout follow all layers but
    the last, which is padded.
    """
    from torch import nn

    layers: list[nn.Module] = [nn.BatchNorm1d(bins, affine=False)]
    for before, after in pairwise([bins, *filters[:-1]]):
        layers += [nn.Conv1d(before, after, kernel), nn.ReLU(), nn.MaxPool1d(pool), nn.Dropout(dropout)]
    last, padding = [bins, *filters][-2], kernel - 1
    layers += [nn.ZeroPad1d((padding // 2, padding - padding // 2)), nn.Conv1d(last, filters[-1], kernel)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Flatten())


def frames_left(frames: int, filters: Sequence[int], kernel: int, pool: int) -> int:
    """Return the number of frames after the last layer of `convolutions`. A value below 1 means that none are left."""
    for _ in filters[:-1]:
        frames = (frames - kernel + 1) // pool
    return frames

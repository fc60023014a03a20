"""Distance of the weights of a network from their initial values."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

MOST = 2**16
"""Values of a tensor that are kept, evenly spaced. A copy of a large embedding table would double its memory."""


class WeightStart:
    """Initial weights, before the first step.

    - parameters: the trained weights. Their order must be the same in `distance`.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._start = [_sample(weights) for weights in parameters]

    def distance(self, parameters: Iterable[Tensor]) -> float:
        """Return the distance of the weights from their initial values, divided by the larger of the two norms."""
        moved = start = now = 0.0
        for before, weights in zip(self._start, parameters, strict=True):
            after, share = _sample(weights), weights.numel() / max(len(before), 1)
            moved += share * float((after - before).square().sum())
            start += share * float(before.square().sum())
            now += share * float(after.square().sum())
        return math.sqrt(moved / max(start, now)) if max(start, now) > 0 else 0.0


def _sample(weights: Tensor) -> Tensor:
    flat = weights.detach().reshape(-1)
    return flat[:: max(1, -(-len(flat) // MOST))].to("cpu", torch.float64, copy=True)

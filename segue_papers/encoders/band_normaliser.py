"""Layer that normalises the bands of spectrograms by fixed statistics of the training data."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

SILENT = 1e-6
"""Standard deviation up to which a band counts as silent. It is then centred and not scaled."""


class BandNormaliser(nn.Module):
    """Subtracts the mean of each band and divides by its standard deviation, [n, bands, frames] -> the same.

    - mean, deviation: statistics of the training data, [bands]. They are saved with the network and not learned.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        super().__init__()
        scale = np.where(deviation > SILENT, deviation, 1.0)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32)[:, None])
        self.register_buffer("deviation", torch.as_tensor(scale, dtype=torch.float32)[:, None])

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - self.mean) / self.deviation

"""Plain and variational autoencoder networks for inputs of any kind.

Source: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, equations 8 to 10. The weight beta follows Higgins
et al., "beta-VAE", 2017.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from toolkit.encoders.learning.train_network import TrainableNetwork

Output = Literal["mu", "mu+sigma", "sample"]
"""Embedding computed from the posterior.

- mu: its mean.
- mu+sigma: its mean and its standard deviation, 2 · latent columns.
- sample: one draw from it, fixed for each input.
"""


class Autoencoder(TrainableNetwork):
    """Network with `trunk` to `width` numbers, a linear bottleneck with `latent` numbers, and `decoder`."""

    judged: ClassVar[str] = "error"

    def __init__(self, trunk: nn.Module, width: int, latent: int, decoder: nn.Module, *, variational: bool) -> None:
        super().__init__()
        self.trunk = trunk
        self.bottleneck = nn.Linear(width, 2 * latent if variational else latent)
        self.decoder = decoder
        self.latent = latent
        self.variational = variational

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return mean and log-variance of the posterior, each [n, latent], or None as log-variance without a VAE."""
        code = self.bottleneck(self.trunk(inputs)).float()
        if not self.variational:
            return code, None
        mean, log_variance = code.chunk(2, dim=1)
        # beyond these bounds exp() overflows in half precision, and no posterior needs them
        return mean, log_variance.clamp(-20.0, 10.0)

    def losses(self, inputs: Tensor, noise: Tensor, *, beta: float) -> dict[str, Tensor]:
        """Return means over the inputs of `error` (half the summed squared error), `kl` if variational, and `loss`.

        - noise: standard normal numbers [n, latent].

        With beta = 1 the loss is the negative ELBO for a Gaussian likelihood with unit variance, up to a constant. In
        evaluation mode the code is the posterior mean.
        """
        mean, log_variance = self.encode(inputs)
        code = mean
        if log_variance is not None and self.training:
            code = mean + torch.exp(0.5 * log_variance) * noise
        error = 0.5 * (self.decoder(code).float() - inputs.float()).square().flatten(1).sum(1).mean()
        if log_variance is None:
            return {"loss": error, "error": error}
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1).mean()
        return {"loss": error + beta * kl, "error": error, "kl": kl}

    def constant_loss(self, steps: Iterable[tuple[Any, Tensor]]) -> float | None:
        """Return the `error` of decoding the mean input for every input."""
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for inputs, _ in steps:
            flat = inputs.flatten(1).double()
            count, total, squares = count + len(flat), total + flat.sum(dim=0), squares + flat.square().sum()
        return float(0.5 * (squares / count - (total / count).square().sum()))

    def embed(self, inputs: Tensor, output: Output, noise: Tensor | None = None) -> Tensor:
        """Return embeddings [n, latent], or [n, 2 · latent] for `mu+sigma`. `sample` requires noise [n, latent]."""
        mean, log_variance = self.encode(inputs)
        if log_variance is None or output == "mu":
            return mean
        deviation = torch.exp(0.5 * log_variance)
        if output == "mu+sigma":
            return torch.cat([mean, deviation], dim=1)
        assert noise is not None, "output='sample' needs noise"
        return mean + deviation * noise


def mlp_autoencoder(columns: int, hidden: list[int], latent: int) -> Autoencoder:
    """Return a variational autoencoder for feature vectors, with encoder layers `hidden` and a mirrored decoder."""
    sizes = [columns, *hidden]
    inward = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.SiLU())]
    back = [latent, *hidden[::-1]]
    outward = [layer for a, b in itertools.pairwise(back) for layer in (nn.Linear(a, b), nn.SiLU())]
    decoder = nn.Sequential(*outward, nn.Linear(back[-1], columns))
    return Autoencoder(nn.Sequential(*inward), sizes[-1], latent, decoder, variational=True)


def conv_autoencoder(size: int, patch: int, channels: list[int], latent: int, *, variational: bool) -> Autoencoder:
    """Return an autoencoder for RGB images [n, 3, size, size] with values from 0 to 1.

    Squares of `patch` pixels are folded into channels (space to depth). This avoids convolutions at full size, which
    are slow on a CPU because of memory access. Each entry of `channels` then halves the side by a strided convolution.
    Batch normalisation reduces the number of steps to a third. After training, running statistics are used, so an
    embedding does not depend on its batch.
    """
    side = size // patch >> len(channels)
    sizes = [3 * patch * patch, *channels]
    inward: list[nn.Module] = [nn.PixelUnshuffle(patch)]
    for a, b in itertools.pairwise(sizes):
        inward += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.BatchNorm2d(b), nn.SiLU()]
    outward: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes[::-1]):
        outward += [nn.BatchNorm2d(a), nn.SiLU(), nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)]
    width = channels[-1] * side * side
    back = [nn.Linear(latent, width), nn.Unflatten(1, (channels[-1], side, side))]
    decoder = nn.Sequential(*back, *outward, nn.PixelShuffle(patch), nn.Sigmoid())
    return Autoencoder(nn.Sequential(*inward, nn.Flatten()), width, latent, decoder, variational=variational)

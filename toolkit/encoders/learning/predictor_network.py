"""What `toolkit.encoders.learning.train_network` trains, and the network of the supervised encoders: a trunk, and a linear layer to the targets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from toolkit.encoders.learning.weighted_prediction_error import weighted_error

Loss = Literal["cosine", "squared", "weighted", "logistic"]
"""cosine: one less the cosine of prediction and target · squared: half the mean squared error, of targets brought to deviation one ·
weighted: the weighted prediction error (`toolkit.encoders.learning.weighted_prediction_error`) · logistic: binary cross-entropy of labels 0…1."""


class Network(nn.Module, ABC):
    """latent: normal numbers that the losses of one input need as noise."""

    latent: int

    @abstractmethod
    def losses(self, inputs: Any, noise: Tensor, *, beta: float) -> dict[str, Tensor]:
        """Per-input means, `loss` the one to minimise. noise: standard normal [n, latent]."""


class Predictor(Network):
    """`trunk` to `width` numbers, the embedding; dropout; a linear layer to the targets' columns.

    Under `cosine` predictions have length 1; under `logistic` they are probabilities.
    """

    center: Tensor
    spread: Tensor
    users: Tensor
    gram: Tensor
    unit: float

    def __init__(self, trunk: nn.Module, width: int, columns: int, *, dropout: float, loss: Loss) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(width, columns)
        self.dropout = dropout
        self.loss = loss
        # dropout is drawn from the noise of training, which a resumed run draws again
        self.latent = width if dropout else 0
        self.register_buffer("center", torch.zeros(columns))
        self.register_buffer("spread", torch.ones(()))

    def scale_to(self, targets: Tensor) -> None:
        """Predict in the units of float32 [n, columns]: what is learned has mean 0, and deviation 1 over all columns."""
        if self.loss in ("squared", "weighted"):
            self.center.copy_(targets.mean(dim=0))
            self.spread.copy_((targets - targets.mean(dim=0)).square().mean().sqrt().clamp_min(1e-12))

    def judge_by(self, users: Tensor, unit: float) -> None:
        """Hold users' factors [U, f] for the loss `weighted`; unit: what it is divided by. They are no part of what is kept."""
        self.register_buffer("users", users, persistent=False)
        self.register_buffer("gram", users.T @ users, persistent=False)
        self.unit = unit

    def losses(self, inputs: tuple[Tensor, ...], noise: Tensor, *, beta: float) -> dict[str, Tensor]:
        """inputs: windows and targets; under `weighted` windows and what `Feedback.batch` gives."""
        windows, *known = inputs
        hidden = self._hidden(windows)
        if self.dropout:
            bar = torch.special.ndtri(torch.tensor(self.dropout, dtype=torch.float64)).item()
            hidden = hidden * (noise > bar) / (1 - self.dropout)
        found = self.head(hidden).float()
        if self.loss == "weighted":
            owners, who, confidence = known
            return {
                "loss": weighted_error(
                    found * self.spread + self.center, self.users, self.gram, owners, who, confidence
                )
                / self.unit
            }
        (targets,) = known
        if self.loss == "cosine":
            return {"loss": (1 - nn.functional.cosine_similarity(found, targets, dim=1)).mean()}
        if self.loss == "logistic":
            return {"loss": nn.functional.binary_cross_entropy_with_logits(found, targets)}
        return {"loss": 0.5 * (found - (targets - self.center) / self.spread).square().mean()}

    def _hidden(self, windows: Tensor) -> Tensor:
        if len(windows) > 1 or not self.training:
            return self.trunk(windows)
        # one input alone has no variance: batch normalisation goes by what it has seen so far
        self.trunk.eval()
        try:
            return self.trunk(windows)
        finally:
            self.trunk.train()

    def predict(self, hidden: Tensor) -> Tensor:
        """Predictions [n, columns] of embeddings [n, width]."""
        found = self.head(hidden).float()
        if self.loss == "cosine":
            return nn.functional.normalize(found, dim=1)
        return torch.sigmoid(found) if self.loss == "logistic" else found * self.spread + self.center


class MeanAndMaximum(nn.Module):
    """Mean and maximum over time, side by side: (n, channels, frames) -> (n, 2 · channels)."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([inputs.mean(dim=2), inputs.amax(dim=2)], dim=1)

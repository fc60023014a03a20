"""Network of the supervised encoders, a trunk with a linear layer from its hidden layer to the targets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from toolkit.encoders.learning.train_network import TrainableNetwork
from toolkit.encoders.learning.weighted_prediction_error import constant_weighted_error, weighted_error

Loss = Literal["cosine", "squared", "weighted", "logistic"]
"""Training loss.

- cosine: one minus the cosine similarity of prediction and target.
- squared: half the mean squared error, of targets scaled to standard deviation one.
- weighted: the weighted prediction error, see `toolkit.encoders.learning.weighted_prediction_error`.
- logistic: binary cross-entropy of labels 0…1.
"""


class SupervisedNetwork(TrainableNetwork):
    """Network with `trunk` to a hidden layer with `width` numbers, dropout, and a linear layer to the targets.

    Predictions have unit norm for the loss `cosine` and are probabilities for the loss `logistic`.
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
        """Scale predictions to the units of targets, float32 [n, columns]. The layers learn standardised targets."""
        if self.loss in ("squared", "weighted"):
            self.center.copy_(targets.mean(dim=0))
            self.spread.copy_((targets - targets.mean(dim=0)).square().mean().sqrt().clamp_min(1e-12))

    def use_feedback(self, users: Tensor, unit: float) -> None:
        """Set the feedback for the loss `weighted`, which is not saved.

        - users: factors [U, f].
        - unit: divisor of the loss.
        """
        self.register_buffer("users", users, persistent=False)
        self.register_buffer("gram", users.T @ users, persistent=False)
        self.unit = unit

    def losses(self, inputs: tuple[Tensor, ...], noise: Tensor, *, beta: float) -> dict[str, Tensor]:
        """Return the mean losses of a batch.

        - inputs: network inputs and targets. For `weighted`, network inputs and the result of `Feedback.batch`.
        """
        windows, *known = inputs
        hidden = self._hidden(windows)
        if self.dropout and self.training:
            bar = torch.special.ndtri(torch.tensor(self.dropout, dtype=torch.float64)).item()
            hidden = hidden * (noise > bar) / (1 - self.dropout)
        output = self.head(hidden).float()
        if self.loss == "weighted":
            error = weighted_error(output * self.spread + self.center, self.users, self.gram, *known)
            return {"loss": error / self.unit}
        (targets,) = known
        if self.loss == "cosine":
            return {"loss": (1 - nn.functional.cosine_similarity(output, targets, dim=1)).mean()}
        if self.loss == "logistic":
            return {"loss": nn.functional.binary_cross_entropy_with_logits(output, targets)}
        return {"loss": 0.5 * (output - (targets - self.center) / self.spread).square().mean()}

    def constant_loss(self, steps: Iterable[tuple[Any, Tensor]]) -> float | None:
        """Return the mean loss of the best constant prediction.

        It is the mean of the targets for `squared`, their mean direction for `cosine`, and the base rates for
        `logistic`.
        """
        # the network's inputs are large and are not kept
        known = [(len(inputs[0]), *inputs[1:]) for inputs, _ in steps]
        if self.loss == "weighted":
            count, who, confidence = sum(part[0] for part in known), *(torch.cat([p[i] for p in known]) for i in (2, 3))
            return constant_weighted_error(self.users, self.gram, who, confidence, count) / self.unit
        targets = torch.cat([part[1] for part in known]).double()
        if self.loss == "cosine":
            return float(1 - nn.functional.normalize(targets, dim=1).mean(dim=0).norm())
        mean = targets.mean(dim=0)
        if self.loss == "logistic":
            return float(nn.functional.binary_cross_entropy(mean.expand_as(targets), targets))
        return float(0.5 * ((targets - mean) / self.spread).square().mean())

    def _hidden(self, windows: Tensor) -> Tensor:
        if len(windows) > 1 or not self.training:
            return self.trunk(windows)
        # a single input has no variance: batch normalisation uses its running statistics
        self.trunk.eval()
        try:
            return self.trunk(windows)
        finally:
            self.trunk.train()

    def predict(self, hidden: Tensor) -> Tensor:
        """Return predictions [n, columns] from hidden layers [n, width]."""
        output = self.head(hidden).float()
        if self.loss == "cosine":
            return nn.functional.normalize(output, dim=1)
        return torch.sigmoid(output) if self.loss == "logistic" else output * self.spread + self.center


class MeanAndMaximum(nn.Module):
    """Concatenated mean and maximum over time, [n, channels, frames] -> [n, 2 · channels]."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([inputs.mean(dim=2), inputs.amax(dim=2)], dim=1)

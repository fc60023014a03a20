"""What the supervised encoders share: a network that learns a track's targets, and whose state is the encoder's."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from toolkit.encoders.contract.content_hash import combined, digests
from toolkit.encoders.contract.encoder import Encoder, Progress
from toolkit.encoders.contract.encoder_files import Tensors, load_encoder, save_encoder
from toolkit.encoders.contract.input_faults import needs_targets, not_fitted
from toolkit.errors import InputError
from toolkit.seeds import derived_seed

if TYPE_CHECKING:
    from torch import Tensor

    from toolkit.encoders.learning.predictor_network import Predictor
    from toolkit.encoders.learning.weighted_prediction_error import Feedback

Batch = Callable[[np.ndarray], "tuple[Tensor, ...]"]
"""Prepared examples at places int64 [b], and their targets [b, t] or what the loss takes in their place."""


class PredictingEncoder(Encoder):
    """An encoder whose network learns to predict targets; params: `epochs` and `batch` of training."""

    learns: ClassVar[bool] = True
    supervised: ClassVar[bool] = True
    params: Any
    model: Predictor | None = None
    curve: list[dict[str, Any]]
    """One row per epoch of the last fit: epoch, seconds, loss."""

    def __init__(self, params: Any = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.curve = []

    @abstractmethod
    def _build(self, columns: int) -> Predictor:
        """The network for targets [n, columns]; what it has not from pretrained weights is drawn from torch's generator."""

    def _state(self) -> Tensors:
        """Tensors that are kept beside the network's."""
        return {}

    def _adopt(self, tensors: Tensors) -> None:
        """Take what `_state` gave, before the network is built."""

    def _train(
        self,
        batch: Batch,
        count: int,
        known: Tensor,
        *,
        identity: bytes,
        rate: float,
        bf16: bool = False,
        workdir: Path | None = None,
        progress: Progress | None = None,
        feedback: Feedback | None = None,
    ) -> None:
        """Train a new network on `count` examples; resumes from `workdir` where `identity` was the same.

        known: float32 [m, t], the targets that there are, each once. feedback: for the loss `weighted`.
        """
        import torch

        from toolkit.encoders.learning.autoencoder import seeded
        from toolkit.encoders.learning.train_network import Schedule, train

        params = self.params
        about = json.dumps([self.name, self.version, params.model_dump(mode="json"), self.seed, self.fingerprint()])
        seed = derived_seed(self.seed, self.name, "train")
        schedule = Schedule(
            params.epochs, params.batch, rate, 0.0, seed, self.device, combined(about.encode(), identity), bf16
        )
        model = seeded(lambda: self._build(known.shape[1]), derived_seed(self.seed, self.name, "weights"))
        model.scale_to(known)
        if feedback is not None:
            model.judge_by(torch.from_numpy(feedback.users), feedback.unit())
        self.curve = train(model, batch, count, schedule, workdir=workdir, progress=progress, what=f"fit {self.name}")
        self.model = model

    def _fitted(self) -> Predictor:
        if self.model is None:
            raise not_fitted(self.name)
        return self.model

    def save(self, directory: Path) -> None:
        tensors = None
        if self.model is not None:
            tensors = {
                f"model.{name}": value.cpu().numpy() for name, value in self.model.state_dict().items()
            } | self._state()
        save_encoder(self, directory, tensors, curve=self.curve)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        """What `save` wrote; a pretrained backbone's own folder must still be there, for its configuration."""
        from toolkit.encoders.learning.train_network import load_weights

        encoder, tensors, about = load_encoder(cls, directory, device=device)
        if tensors is not None:
            encoder.curve = about["curve"]
            encoder._adopt(tensors)
            model = encoder._build(len(tensors["model.head.bias"]))
            load_weights(
                model,
                {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")},
            )
            encoder.model = model.to(device).eval()
        return encoder


def identity(kind: Any, inputs: Any, targets: np.ndarray) -> bytes:
    """What a training is about: its inputs and targets."""
    return np.ascontiguousarray(digests(kind, inputs)).tobytes() + targets.tobytes()


def checked_targets(name: str, inputs: Any, targets: np.ndarray | None, *, labels: bool) -> np.ndarray:
    """Targets as float32 [n, t]. Raises `InputError` where there are none, or not one finite row an input; labels must lie in 0…1."""
    if targets is None:
        raise needs_targets(name)
    wanted = np.ascontiguousarray(targets, np.float32)
    if not len(inputs) or wanted.ndim != 2 or len(wanted) != len(inputs) or not wanted.shape[1]:
        raise InputError(
            f"{name}: targets of shape {wanted.shape} must be [{len(inputs)}, t]: one row an input, at least one of each"
        )
    if not np.isfinite(wanted).all():
        row = int(np.flatnonzero(~np.isfinite(wanted).all(axis=1))[0])
        raise InputError(f"{name}: targets of input {row} must be finite numbers")
    if labels and (wanted.min() < 0 or wanted.max() > 1):
        raise InputError(
            f"{name}: targets from {wanted.min():g} to {wanted.max():g} must be labels 0…1: for factors take another loss"
        )
    return wanted


def checked_feedback(name: str, feedback: Feedback | None, factors: np.ndarray) -> Feedback:
    """Feedback beside factors [n, f]. Raises `InputError` where there is none, or of another shape."""
    if feedback is None:
        raise InputError(
            f"{name}: loss: weighted judges by feedback, and there is none: give it `targets: {{factors: k}}`"
        )
    if feedback.confidence.shape != (len(factors), len(feedback.users)) or feedback.users.shape[1] != factors.shape[1]:
        shapes = f"users {feedback.users.shape}, confidence {feedback.confidence.shape}"
        raise InputError(
            f"{name}: feedback of {shapes} must be of {factors.shape[0]} tracks and {factors.shape[1]} factors"
        )
    return feedback

"""Base classes for supervised encoders, whose networks learn to predict the targets of a track."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from toolkit import devices
from toolkit.contracts.learning import Learning
from toolkit.encoders.contract.content_hash import combined, digests
from toolkit.encoders.contract.encoder import Encoder, EncoderParams, FittedState, Kind, Progress, Tensors
from toolkit.encoders.contract.input_faults import needs_targets, not_fitted
from toolkit.errors import InputError
from toolkit.seeds import derived_seed, seeded_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from toolkit.encoders.learning.supervised_network import SupervisedNetwork
    from toolkit.encoders.learning.train_network import Epoch
    from toolkit.encoders.learning.weighted_prediction_error import Feedback

LoadBatch = Callable[[np.ndarray], "tuple[Tensor, ...]"]
"""Network inputs of the examples at rows int64 [b], and their targets [b, t] or what the loss takes instead."""


class TrainedParams(EncoderParams):
    """Training parameters of a supervised encoder.

    - epochs, batch: number of epochs and batch size. The learning rate of Adam decays to zero.
    """

    epochs: int = Field(20, ge=1)
    batch: int = Field(32, ge=1)


class PredictingParams(TrainedParams):
    """Parameters of a network that predicts factors or labels.

    - lr: learning rate.
    - dropout: dropout rate of the hidden layer in training.
    - loss: see `toolkit.encoders.learning.supervised_network.Loss`.
    - output: `embedding` for the hidden layer before the targets, or `prediction`.
    - bf16: mixed precision in training. Vectors are always computed in full precision.
    """

    lr: float = Field(1e-3, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    loss: Literal["cosine", "squared", "weighted", "logistic"] = "cosine"
    output: Literal["embedding", "prediction"] = "embedding"
    bf16: Literal["auto", "on", "off"] = "auto"


@dataclass(frozen=True)
class Examples:
    """Training data of a network.

    - load: function that returns the network inputs and targets of given examples.
    - count: number of examples.
    - targets: float32 [m, t], each target once.
    - identity: bytes that differ if the inputs or targets differ. A checkpoint with another identity is ignored.
    - feedback: feedback for the loss `weighted`.
    - begin_epoch: draws the inputs of an epoch, see `toolkit.encoders.learning.train_network.train`.
    """

    load: LoadBatch
    count: int
    targets: np.ndarray
    identity: bytes
    feedback: Feedback | None = None
    begin_epoch: Callable[[int], None] | None = None


class SupervisedEncoder(Encoder):
    """Base class for encoders with a network that learns to predict targets."""

    requires_fit: ClassVar[bool] = True
    supervised: ClassVar[bool] = True
    params: TrainedParams
    model: SupervisedNetwork | None = None
    learning: Learning | None = Learning()
    curve: list[Epoch]
    """One row per epoch of the last fit: epoch, seconds, loss."""

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.curve = []

    @abstractmethod
    def _build(self, columns: int) -> SupervisedNetwork:
        """Return the network for targets [n, columns] with pretrained weights, or weights from torch's generator."""

    def _extra_tensors(self) -> Tensors:
        """Return tensors that are saved with the network."""
        return {}

    def _restore_extra(self, tensors: Tensors) -> None:
        """Restore the tensors from `_extra_tensors` before the network is built."""

    def _train(
        self,
        examples: Examples,
        *,
        lr: float,
        bf16: bool = False,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Train a new network, or resume from a checkpoint in `workdir`."""
        import torch

        from toolkit.encoders.learning.train_network import Schedule, train

        params, feedback = self.params, examples.feedback
        about = json.dumps([self.name, self.version, params.model_dump(mode="json"), self.seed, self.fingerprint()])
        identity, seed = combined(about.encode(), examples.identity), derived_seed(self.seed, self.name, "train")
        schedule = Schedule(params.epochs, params.batch, lr, 0.0, seed, self.device, identity, bf16)
        columns = examples.targets.shape[1]
        model = seeded_weights(lambda: self._build(columns), derived_seed(self.seed, self.name, "weights"))
        model.scale_to(torch.from_numpy(examples.targets))
        if feedback is not None:
            model.use_feedback(torch.from_numpy(feedback.users), feedback.unit())
        what = f"fit {self.name}"
        self.curve = train(
            model,
            examples.load,
            examples.count,
            schedule,
            workdir=workdir,
            progress=progress,
            what=what,
            begin_epoch=examples.begin_epoch,
        )
        self.model, self.learning = model, model.learning.of_task(examples.targets)

    def _fitted(self) -> SupervisedNetwork:
        if self.model is None:
            raise not_fitted(self.name)
        return self.model

    def _outputs(self, inputs: Tensor, *, output: Literal["embedding", "prediction"] = "embedding") -> np.ndarray:
        """Return the vectors of network inputs, float32 [n, d]."""
        import torch

        model = self._fitted()
        with torch.inference_mode():
            hidden = model.trunk(inputs.to(self.device))
            return (hidden if output == "embedding" else model.predict(hidden)).float().cpu().numpy()

    def fitted_state(self) -> FittedState | None:
        from toolkit.encoders.learning.train_network import weights

        if self.model is None:
            return None
        return FittedState(weights(self.model) | self._extra_tensors(), {"curve": self.curve})

    def restore(self, state: FittedState) -> None:
        """Restore the network. A pretrained backbone still requires its folder, which contains the configuration."""
        from toolkit.encoders.learning.train_network import restored

        self.curve = state.values["curve"]
        self._restore_extra(state.tensors)
        columns = len(state.tensors["model.head.bias"])
        self.model = restored(lambda: self._build(columns), state.tensors).to(self.device).eval()


class PredictingEncoder(SupervisedEncoder):
    """Base class for encoders that return the hidden layer or the prediction of a network."""

    params: PredictingParams

    @property
    @abstractmethod
    def width(self) -> int:
        """Return the size of the hidden layer."""

    @abstractmethod
    def _trunk(self) -> nn.Module:
        """Return the untrained network from the network inputs to the hidden layer, [n, width]."""

    @property
    def dim(self) -> int:
        return self.width if self.params.output == "embedding" else self._fitted().head.out_features

    def _fit_network(self, examples: Examples, *, workdir: Path | None, progress: Progress | None) -> None:
        bf16 = devices.wants_bf16(self.params.bf16, self.device)
        self._train(examples, lr=self.params.lr, bf16=bf16, workdir=workdir, progress=progress)

    def _build(self, columns: int) -> SupervisedNetwork:
        from toolkit.encoders.learning.supervised_network import SupervisedNetwork

        dropout, loss = self.params.dropout, self.params.loss
        return SupervisedNetwork(self._trunk(), self.width, columns, dropout=dropout, loss=loss)


def identity(kind: Kind, inputs: Sequence[str] | Sequence[bytes], targets: np.ndarray) -> bytes:
    """Return the `identity` of examples from the digests of the inputs and the targets."""
    return digests(kind, inputs).tobytes() + targets.tobytes()


def checked_targets(name: str, count: int, targets: np.ndarray | None, *, labels: bool) -> np.ndarray:
    """Return the targets of `count` inputs as float32 [n, t].

    - labels: whether targets must be between 0 and 1.

    Raises `InputError` if targets are missing, not finite, or do not have one row per input.
    """
    if targets is None:
        raise needs_targets(name)
    checked = np.ascontiguousarray(targets, np.float32)
    if not count or checked.ndim != 2 or len(checked) != count or not checked.shape[1]:
        raise InputError(
            f"{name}: targets of shape {checked.shape} must be [{count}, t] with t >= 1: pass one row per input"
        )
    for row in np.flatnonzero(~np.isfinite(checked).all(axis=1))[:1]:
        raise InputError(
            f"{name}: targets of input {row} contain {checked[row][~np.isfinite(checked[row])][0]} but must be finite: "
            "replace the value"
        )
    if labels and (checked.min() < 0 or checked.max() > 1):
        raise InputError(
            f"{name}: targets from {checked.min():g} to {checked.max():g} must be labels from 0 to 1: pass labels, or "
            "set another loss for factors"
        )
    return checked


def checked_feedback(name: str, feedback: Feedback | None, factors: np.ndarray) -> Feedback:
    """Return the feedback for factors [n, f]. Raises `InputError` if it is missing or has another shape."""
    if feedback is None:
        raise InputError(f"{name}: `loss: weighted` requires feedback: set `targets: {{factors: k}}`")
    if feedback.confidence.shape != (len(factors), len(feedback.users)) or feedback.users.shape[1] != factors.shape[1]:
        shapes = f"users {feedback.users.shape}, confidence {feedback.confidence.shape}"
        raise InputError(
            f"{name}: feedback of {shapes} must have {factors.shape[0]} tracks and {factors.shape[1]} factors: pass "
            "the feedback of the targets"
        )
    return feedback

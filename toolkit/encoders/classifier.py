"""What the supervised encoders of pictures and texts share: a backbone, a layer that is the embedding, and the labels."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from toolkit import compute
from toolkit.encoders.base import Encoder, EncoderParams, Progress
from toolkit.encoders.faults import needs_targets, not_fitted
from toolkit.encoders.hashing import combined, digests
from toolkit.encoders.state import load_encoder, save_encoder
from toolkit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from toolkit.encoders.network import Predictor

Batches = Callable[[np.ndarray], "Tensor"]
"""Prepared inputs at places int64 [b]."""


class ClassifierParams(EncoderParams):
    """dim: numbers of the layer before the labels, which is the embedding. dropout: of it, in training. lr: default 1e-4
    for a pretrained backbone, 2e-3 from nothing. bf16: mixed precision in training; embeddings are made in full precision."""

    dim: int = Field(128, ge=1)
    epochs: int = Field(10, ge=1)
    batch: int = Field(32, ge=1)
    lr: float | None = Field(None, gt=0)
    dropout: float = Field(0.2, ge=0, lt=1)
    bf16: Literal["auto", "on", "off"] = "auto"


class Classifier(Encoder):
    """A network that learns which labels a track has; its embedding is tanh of the layer before them.

    The loss is binary cross-entropy a label, since a track may have several.
    """

    learns: ClassVar[bool] = True
    supervised: ClassVar[bool] = True
    params: Any
    model: Predictor | None = None
    curve: list[dict[str, Any]]
    """One row per epoch of the last fit: epoch, seconds, loss."""

    def __init__(self, params: Any = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.curve = []

    @property
    def dim(self) -> int:
        dim: int = self.params.dim
        return dim

    @property
    @abstractmethod
    def pretrained(self) -> bool:
        """Whether the backbone's weights come from a model."""

    @abstractmethod
    def _backbone(self) -> tuple[nn.Module, int]:
        """Prepared inputs -> [n, width], and the width; pretrained, or drawn from torch's generator."""

    @abstractmethod
    def _batches(self, inputs: Any, workdir: Path | None = None, progress: Progress | None = None) -> Batches:
        """What gives prepared inputs at some places; with `workdir` memory does not grow with their number."""

    def fit(self, inputs: Any, targets: np.ndarray | None = None, *, workdir: Path | None = None, progress: Progress | None = None) -> Self:
        """Learn from n >= 1 inputs and float32 [n, t] labels of zeros and ones; resumes from `workdir` after a kill."""
        import torch

        from toolkit.encoders.autoencoder import seeded
        from toolkit.encoders.training import Schedule, train

        wanted = self._labels(inputs, targets)
        answers, batches = torch.from_numpy(wanted), self._batches(inputs, workdir, progress)
        params = self.params
        about = json.dumps([self.name, self.version, params.model_dump(mode="json"), self.seed, self.fingerprint()])
        identity = combined(about.encode(), np.ascontiguousarray(digests(self.kind, inputs)).tobytes(), wanted.tobytes())
        bf16 = params.bf16 == "on" or (params.bf16 == "auto" and compute.has_bf16(self.device))
        rate = params.lr or (1e-4 if self.pretrained else 2e-3)
        seed = compute.derived_seed(self.seed, self.name, "train")
        schedule = Schedule(params.epochs, params.batch, rate, 0.0, seed, self.device, identity, bf16)
        model = seeded(lambda: self._build(wanted.shape[1]), compute.derived_seed(self.seed, self.name, "weights"))
        what = f"fit {self.name}"
        self.curve = train(
            model,
            lambda rows: (batches(rows), answers[torch.from_numpy(rows)]),
            len(wanted),
            schedule,
            workdir=workdir,
            progress=progress,
            what=what,
        )
        self.model = model
        return self

    def _labels(self, inputs: Any, targets: np.ndarray | None) -> np.ndarray:
        if targets is None:
            raise needs_targets(self.name)
        wanted = np.ascontiguousarray(targets, np.float32)
        if not len(inputs) or wanted.ndim != 2 or len(wanted) != len(inputs):
            raise InputError(f"{self.name}: {len(inputs)} inputs and targets of shape {wanted.shape}: one row an input, at least one")
        if not np.isin(wanted, (0, 1)).all():
            raise InputError(f"{self.name}: targets must be labels of zeros and ones, not {wanted[~np.isin(wanted, (0, 1))][0]}")
        return wanted

    def transform(self, inputs: Any, *, progress: Progress | None = None) -> np.ndarray:
        """n inputs -> float32 [n, dim], always in full precision."""
        import torch

        model, out = self._fitted(), np.zeros((len(inputs), self.dim), np.float32)
        step = self.params.batch
        for start in range(0, len(out), step):
            places = np.arange(start, min(start + step, len(out)))
            with torch.inference_mode():
                out[places] = model.trunk(self._part(inputs, places).to(self.device)).float().cpu().numpy()
            if progress is not None:
                progress(int(places[-1]) + 1, len(out), self.name)
        return out

    def _part(self, inputs: Any, places: np.ndarray) -> Tensor:
        """Prepared inputs of one step of `transform`; faults name their place among all."""
        from toolkit.encoders.faults import BadInput

        try:
            return self._batches([inputs[int(place)] for place in places])(np.arange(len(places)))
        except BadInput as fault:
            raise BadInput(int(places[fault.index]), fault.why) from None

    def _build(self, labels: int) -> Predictor:
        from torch import nn

        from toolkit.encoders.network import Predictor

        backbone, width = self._backbone()
        trunk = nn.Sequential(backbone, nn.Linear(width, self.dim), nn.Tanh())
        return Predictor(trunk, self.dim, labels, dropout=self.params.dropout, loss="logistic")

    def _fitted(self) -> Predictor:
        if self.model is None:
            raise not_fitted(self.name)
        return self.model

    def save(self, directory: Path) -> None:
        tensors = None
        if self.model is not None:
            tensors = {f"model.{name}": value.cpu().numpy() for name, value in self.model.state_dict().items()}
        save_encoder(self, directory, tensors, curve=self.curve)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        """What `save` wrote; a pretrained backbone's own folder must still be there, for its configuration."""
        from toolkit.encoders.training import load_weights

        encoder, tensors, about = load_encoder(cls, directory, device=device)
        encoder.curve = about["curve"]
        if tensors is not None:
            model = encoder._build(len(tensors["model.head.bias"]))
            load_weights(model, {name.removeprefix("model."): value for name, value in tensors.items()})
            encoder.model = model.to(device).eval()
        return encoder

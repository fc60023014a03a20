"""What the supervised networks over spectrograms share: windows of a clip through a network, averaged over the clip."""

from __future__ import annotations

import json
import os
import tempfile
from abc import abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from toolkit import compute
from toolkit.encoders.audio_encoder import AudioEncoder, AudioParams
from toolkit.encoders.base import Audio, Progress
from toolkit.encoders.faults import needs_targets, not_fitted
from toolkit.encoders.hashing import combined, digests
from toolkit.encoders.state import load_encoder, save_encoder
from toolkit.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from toolkit.encoders.network import Loss, Predictor

TOGETHER = 16
"""Files whose windows go through the network at once."""


class AudioNetworkParams(AudioParams):
    """output: the `embedding` before the last layer, or the `prediction` itself. loss: see `toolkit.encoders.network.Loss`.
    dropout: of the embedding, in training. bf16: mixed precision in training; embeddings are always made in full precision."""

    epochs: int = Field(20, ge=1)
    batch: int = Field(32, ge=1)
    lr: float = Field(1e-3, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    loss: Literal["cosine", "squared", "logistic"] = "cosine"
    output: Literal["embedding", "prediction"] = "embedding"
    bf16: Literal["auto", "on", "off"] = "auto"


class AudioNetworkEncoder(AudioEncoder):
    """A network that learns to predict a clip's targets (factors or labels) from its windows."""

    learns: ClassVar[bool] = True
    supervised: ClassVar[bool] = True
    model: Predictor | None = None
    curve: list[dict[str, Any]]
    """One row per epoch of the last fit: epoch, seconds, loss."""

    def __init__(self, params: Any = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.curve = []

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers of the embedding."""

    @abstractmethod
    def _trunk(self) -> nn.Module:
        """(n, bands, frames) -> (n, width), untrained."""

    @abstractmethod
    def _windows(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        """Samples of several clips -> float32 [windows, bands, frames] each, at least one window."""

    @property
    def dim(self) -> int:
        return self.width if self.params.output == "embedding" else self._fitted().head.out_features

    def fit(
        self, inputs: Audio, targets: np.ndarray | None = None, *, workdir: Path | None = None, progress: Progress | None = None
    ) -> Self:
        """Learn from n >= 1 files and float32 [n, t] targets; resumes from `workdir` after a kill.

        Files that cannot be read teach nothing. Raises `InputError` without targets, or where no file can be read.
        """
        import torch

        from toolkit.encoders.autoencoder import seeded
        from toolkit.encoders.training import Schedule, train

        wanted = checked_targets(self.name, inputs, targets, labels=self.params.loss == "logistic")
        windows, owners = self._heard_windows(inputs, workdir, progress)
        answers = torch.from_numpy(wanted)
        params = self.params
        about = json.dumps([self.name, self.version, params.model_dump(mode="json"), self.seed])
        identity = combined(about.encode(), np.ascontiguousarray(digests("audio", inputs)).tobytes(), wanted.tobytes())
        bf16 = params.bf16 == "on" or (params.bf16 == "auto" and compute.has_bf16(self.device))
        schedule = Schedule(
            params.epochs,
            params.batch,
            params.lr,
            0.0,
            compute.derived_seed(self.seed, self.name, "train"),
            self.device,
            identity,
            bf16,
        )
        model = seeded(lambda: self._build(wanted.shape[1]), compute.derived_seed(self.seed, self.name, "weights"))
        model.scale_to(answers[torch.from_numpy(np.unique(owners))])
        # a window's target is its clip's
        self.curve = train(
            model,
            lambda rows: (torch.from_numpy(windows[rows]), answers[torch.from_numpy(owners[rows])]),
            len(windows),
            schedule,
            workdir=workdir,
            progress=progress,
            what=f"fit {self.name}",
        )
        self.model = model
        return self

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """n files -> float32 [n, d]: the mean over each clip's windows; NaN for a file that cannot be read."""
        model = self._fitted()
        out = self._rows(inputs)
        for places, windows in self._blocks(inputs, progress, self.name):
            bounds = np.cumsum([0, *map(len, windows)])
            rows = self._answers(model, np.concatenate(windows))
            for place, (low, high) in zip(places, pairwise(bounds), strict=True):
                out[place] = rows[low:high].mean(axis=0)
        if self.params.output == "prediction" and self.params.loss == "cosine":
            out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
        return out

    def _answers(self, model: Predictor, windows: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            hidden = model.trunk(torch.from_numpy(windows).to(self.device))
            return (hidden if self.params.output == "embedding" else model.predict(hidden)).float().cpu().numpy()

    def _blocks(self, inputs: Audio, progress: Progress | None, what: str) -> Iterator[tuple[list[int], list[np.ndarray]]]:
        """Places and windows of `TOGETHER` readable files at a time."""
        places: list[int] = []
        clips: list[np.ndarray] = []
        for place, samples in self._heard(inputs, progress, what):
            places.append(place)
            clips.append(samples)
            if len(places) == TOGETHER:
                yield places, self._windows(clips)
                places, clips = [], []
        if places:
            yield places, self._windows(clips)

    def _heard_windows(self, inputs: Audio, workdir: Path | None, progress: Progress | None) -> tuple[np.ndarray, np.ndarray]:
        """Windows of every readable file, float32 [w, bands, frames], in a file that is mapped where there is a `workdir`; and
        each one's place among the inputs, int64 [w]."""
        table, owners = WindowTable(workdir), list[np.ndarray]()
        for places, windows in self._blocks(inputs, progress, f"hear {self.name}"):
            for place, part in zip(places, windows, strict=True):
                table.append(part)
                owners.append(np.full(len(part), place))
        if not owners:
            raise self._nothing_heard(inputs)
        return table.whole(), np.concatenate(owners)

    def _build(self, columns: int) -> Predictor:
        from toolkit.encoders.network import Predictor

        loss: Loss = self.params.loss
        return Predictor(self._trunk(), self.width, columns, dropout=self.params.dropout, loss=loss)

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
        from toolkit.encoders.training import load_weights

        encoder, tensors, about = load_encoder(cls, directory, device=device)
        encoder.curve = about["curve"]
        if tensors is not None:
            model = encoder._build(len(tensors["model.head.bias"]))
            load_weights(model, {name.removeprefix("model."): value for name, value in tensors.items()})
            encoder.model = model.to(device).eval()
        return encoder


class WindowTable:
    """Arrays of one shape but for their length, end to end: in memory, or in a file that a kill does not leave behind."""

    def __init__(self, workdir: Path | None) -> None:
        self.file = None
        self.parts: list[np.ndarray] = []
        self.shape: tuple[int, ...] = (0,)
        if workdir is not None:
            workdir.mkdir(parents=True, exist_ok=True)
            handle, self.path = tempfile.mkstemp(dir=workdir, suffix=".windows")
            self.file = os.fdopen(handle, "wb")

    def append(self, part: np.ndarray) -> None:
        self.shape = (self.shape[0] + len(part), *part.shape[1:])
        if self.file is None:
            self.parts.append(part)
        else:
            self.file.write(np.ascontiguousarray(part, np.float32).data)

    def whole(self) -> np.ndarray:
        """float32 [sum of the lengths, …]."""
        if self.file is None:
            return np.concatenate(self.parts)
        self.file.close()
        table = np.memmap(self.path, np.float32, "r", shape=self.shape)
        if os.name == "posix":
            os.unlink(self.path)
        return table


def checked_targets(name: str, inputs: Audio, targets: np.ndarray | None, *, labels: bool) -> np.ndarray:
    """Targets as float32 [n, t]. Raises `InputError` where there are none, or not one finite row an input; labels must lie in 0…1."""
    if targets is None:
        raise needs_targets(name)
    wanted = np.ascontiguousarray(targets, np.float32)
    if wanted.ndim != 2 or len(wanted) != len(inputs) or not wanted.shape[1]:
        raise InputError(f"{name}: targets of shape {wanted.shape} must be [{len(inputs)}, t]: one row an input")
    if not np.isfinite(wanted).all():
        row = int(np.flatnonzero(~np.isfinite(wanted).all(axis=1))[0])
        raise InputError(f"{name}: targets of input {row} must be finite numbers")
    if labels and wanted.size and (wanted.min() < 0 or wanted.max() > 1):
        raise InputError(f"{name}: targets from {wanted.min():g} to {wanted.max():g} must be labels 0…1: for factors take another loss")
    return wanted

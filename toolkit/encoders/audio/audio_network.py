"""What the supervised networks over spectrograms share: windows of a clip through a network, averaged over the clip."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from toolkit import devices
from toolkit.encoders.audio.audio_encoder import AudioEncoder, AudioParams
from toolkit.encoders.audio.window_table import WindowTable
from toolkit.encoders.contract.encoder import Audio, Progress
from toolkit.encoders.learning.predicting_encoder import PredictingEncoder, checked_feedback, checked_targets, identity
from toolkit.packages import LIBROSA, Package

if TYPE_CHECKING:
    from torch import Tensor, nn

    from toolkit.encoders.learning.predictor_network import Loss, Predictor
    from toolkit.encoders.learning.weighted_prediction_error import Feedback

TOGETHER = 16
"""Files whose windows go through the network at once."""


class AudioNetworkParams(AudioParams):
    """output: the `embedding` before the last layer, or the `prediction` itself. loss: see `toolkit.encoders.learning.predictor_network.Loss`.
    dropout: of the embedding, in training. bf16: mixed precision in training; embeddings are always made in full precision."""

    epochs: int = Field(20, ge=1)
    batch: int = Field(32, ge=1)
    lr: float = Field(1e-3, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    loss: Literal["cosine", "squared", "weighted", "logistic"] = "cosine"
    output: Literal["embedding", "prediction"] = "embedding"
    bf16: Literal["auto", "on", "off"] = "auto"


class AudioNetworkEncoder(PredictingEncoder, AudioEncoder):
    """A network that learns to predict a clip's targets (factors or labels) from its windows."""

    requires: ClassVar[tuple[Package, ...]] = (*AudioEncoder.requires, LIBROSA)

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

    @property
    def needs_feedback(self) -> bool:
        """Whether `fit` takes, beside factors, the feedback they were made of."""
        return bool(self.params.loss == "weighted")

    def fit(
        self,
        inputs: Audio,
        targets: np.ndarray | None = None,
        *,
        feedback: Feedback | None = None,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from n >= 1 files and float32 [n, t] targets; resumes from `workdir` after a kill.

        feedback: of the same n, for `loss: weighted`, which reads the targets only for their mean and size.
        Files that cannot be read teach nothing. Raises `InputError` without targets, or where no file can be read.
        """
        import torch

        wanted = checked_targets(self.name, inputs, targets, labels=self.params.loss == "logistic")
        windows, owners = self._heard_windows(inputs, workdir, progress)
        answers = torch.from_numpy(wanted)
        heard = checked_feedback(self.name, feedback, wanted) if self.needs_feedback else None

        def batch(rows: np.ndarray) -> tuple[Tensor, ...]:
            # a window's target is its clip's
            known = (answers[torch.from_numpy(owners[rows])],) if heard is None else heard.batch(owners[rows])
            return torch.from_numpy(windows[rows]), *known

        self._train(
            batch,
            len(windows),
            answers[torch.from_numpy(np.unique(owners))],
            identity=identity("audio", inputs, wanted) + (heard.marks() if heard is not None else b""),
            rate=self.params.lr,
            bf16=devices.wants_bf16(self.params.bf16, self.device),
            workdir=workdir,
            progress=progress,
            feedback=heard,
        )
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

    def _blocks(
        self, inputs: Audio, progress: Progress | None, what: str
    ) -> Iterator[tuple[list[int], list[np.ndarray]]]:
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

    def _heard_windows(
        self, inputs: Audio, workdir: Path | None, progress: Progress | None
    ) -> tuple[np.ndarray, np.ndarray]:
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
        from toolkit.encoders.learning.predictor_network import Predictor

        loss: Loss = self.params.loss
        return Predictor(self._trunk(), self.width, columns, dropout=self.params.dropout, loss=loss)

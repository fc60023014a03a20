"""Base class for supervised networks over spectrograms that average vectors over the windows of a clip."""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from toolkit.encoders.audio.audio_encoder import AudioEncoder, AudioParams
from toolkit.encoders.contract.encoder import Audio, Progress
from toolkit.encoders.learning.growing_array import GrowingArray
from toolkit.encoders.learning.supervised_encoder import (
    Examples,
    PredictingEncoder,
    PredictingParams,
    checked_feedback,
    checked_targets,
    identity,
)
from toolkit.packages import LIBROSA, Package

if TYPE_CHECKING:
    from torch import Tensor

    from toolkit.encoders.learning.weighted_prediction_error import Feedback


class TrainingWindows:
    """Windows [w, bands, frames] of training clips, the same in each epoch."""

    def __init__(self, windows: np.ndarray) -> None:
        self.windows = windows

    def begin_epoch(self, epoch: int) -> None:
        """Draw the windows of an epoch. The base class has nothing to draw."""

    def load(self, rows: np.ndarray) -> np.ndarray:
        """Return the windows of the epoch at rows int64 [b], float32 [b, bands, frames]."""
        return np.ascontiguousarray(self.windows[rows])


class AudioNetworkParams(PredictingParams, AudioParams):
    """Parameters of a network over spectrograms, in addition to `PredictingParams` and `AudioParams`."""


class AudioNetworkEncoder(PredictingEncoder, AudioEncoder):
    """Base class for audio encoders that learn to predict factors or labels from the windows of a clip."""

    requires: ClassVar[tuple[Package, ...]] = (*AudioEncoder.requires, LIBROSA)
    params: AudioNetworkParams

    def _training_windows(self, windows: np.ndarray, owners: np.ndarray) -> TrainingWindows:
        """Return the windows that the network is trained on, from those of `_all_windows`."""
        return TrainingWindows(windows)

    @abstractmethod
    def _windows(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        """Return at least one window for each clip, float32 [windows, bands, frames]."""

    @property
    def needs_feedback(self) -> bool:
        return self.params.loss == "weighted"

    def fit(
        self,
        inputs: Audio,
        targets: np.ndarray | None = None,
        *,
        feedback: Feedback | None = None,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit the network to n >= 1 files and targets float32 [n, t]. A killed fit resumes from `workdir`.

        - feedback: feedback for the same n tracks, required by `loss: weighted`. This loss uses only the mean and scale
          of the targets.

        Unreadable files are ignored. Raises `InputError` if targets are missing or no file can be read.
        """
        import torch

        checked = checked_targets(self.name, len(inputs), targets, labels=self.params.loss == "logistic")
        windows, owners = self._all_windows(inputs, workdir, progress)
        answers = torch.from_numpy(checked)
        plays = checked_feedback(self.name, feedback, checked) if self.needs_feedback else None

        training = self._training_windows(windows, owners)

        def load(rows: np.ndarray) -> tuple[Tensor, ...]:
            # the target of a window is that of its clip
            known = (answers[torch.from_numpy(owners[rows])],) if plays is None else plays.batch(owners[rows])
            return torch.from_numpy(training.load(rows)), *known

        about = identity("audio", inputs, checked) + (plays.identity() if plays is not None else b"")
        targets = checked[np.unique(owners)]
        examples = Examples(load, len(windows), targets, about, plays, training.begin_epoch)
        self._fit_network(examples, workdir=workdir, progress=progress)
        return self

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for n files, the mean over the windows of each clip, with NaN for unreadable files."""
        import torch

        self._fitted()
        out, output = self._nan_rows(inputs), self.params.output
        for indices, clips in self._clip_batches(inputs, progress, self.name):
            windows = self._windows(clips)
            rows = self._outputs(torch.from_numpy(np.concatenate(windows)), output=output)
            for index, (low, high) in zip(indices, pairwise(np.cumsum([0, *map(len, windows)])), strict=True):
                out[index] = rows[low:high].mean(axis=0)
        if output == "prediction" and self.params.loss == "cosine":
            out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
        return out

    def _all_windows(
        self, inputs: Audio, workdir: Path | None, progress: Progress | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the windows of all readable files, float32 [w, bands, frames], and their file indices, int64 [w].

        With `workdir`, the windows are in a memory-mapped file.
        """
        table, owners = GrowingArray(workdir), list[np.ndarray]()
        for indices, clips in self._clip_batches(inputs, progress, f"decode for {self.name}"):
            for index, part in zip(indices, self._windows(clips), strict=True):
                table.append(part)
                owners.append(np.full(len(part), index))
        if not owners:
            raise self._all_unreadable(inputs)
        return table.whole(), np.concatenate(owners)

"""`log-mel`: windows of a clip's log-mel spectrogram as they are, for rankers that train a network of their own through them.

Source: Lee, Lee, Park, Park and Nam, "Deep content-user embedding model for music recommendation", 2018: 128 mel bands of 3 s. The same
spectrogram as of `mel-cnn-1d`. One window of the default size takes 66 kB a track. No pretrained weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from segue_papers.encoders.mel_spectrogram import SpectrogramParams, log_mel
from toolkit.encoders.audio.audio_encoder import AudioEncoder
from toolkit.encoders.contract.encoder import Audio, EncoderParams, Progress
from toolkit.encoders.contract.encoder_files import load_encoder, save_encoder
from toolkit.packages import LIBROSA, Package


class LogMelParams(SpectrogramParams):
    """windows: taken of a clip, spread evenly over it; they overlap where it is short. A clip of less than one window is refused."""

    windows: int = Field(3, ge=1)

    def shape(self) -> tuple[int, int, int]:
        """windows, bands, frames: what a vector is, row after row."""
        return self.windows, self.bands, self.frames()


class LogMelEncoder(AudioEncoder):
    """Computes the log-mel spectrograms of windows of an audio clip, for rankers that train a network on them.

    Returns float32 [n, windows · bands · frames].
    """

    name: ClassVar[str] = "log-mel"
    seeded: ClassVar[bool] = False
    source: ClassVar[str] = "Lee et al. 2018, input of the audio model"
    Params: ClassVar[type[EncoderParams]] = LogMelParams
    requires: ClassVar[tuple[Package, ...]] = (*AudioEncoder.requires, LIBROSA)
    params: LogMelParams

    @property
    def dim(self) -> int:
        windows, bands, frames = self.params.shape()
        return windows * bands * frames

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """n files -> float32 [n, d]; NaN for a file that cannot be read or is shorter than one window."""
        out, (windows, _, frames) = self._rows(inputs), self.params.shape()
        for place, samples in self._heard(inputs, progress, self.name):
            table = log_mel(samples, self.params)
            if len(samples) >= frames * self.params.hop:
                starts = np.linspace(0, table.shape[1] - frames, windows).astype(int)
                out[place] = np.stack([table[:, start : start + frames] for start in starts]).ravel()
        return out

    def save(self, directory: Path) -> None:
        save_encoder(self, directory)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        return load_encoder(cls, directory, device=device)[0]

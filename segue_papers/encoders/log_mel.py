"""`log-mel`: windows of a clip's log-mel spectrogram, for rankers that train a network of their own on them.

Source: Lee, Lee, Park, Park and Nam, "Deep content-user embedding model for music recommendation", 2018: 128 mel bands
of 3 s. It is the spectrogram of `mel-cnn-1d`. One window of the default size takes 66 kB a track. No pretrained
weights.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from segue_papers.encoders.mel_spectrogram import SpectrogramParams, log_mel
from toolkit.encoders.audio.audio_encoder import AudioEncoder
from toolkit.encoders.contract.encoder import Audio, EncoderParams, Progress
from toolkit.packages import LIBROSA, Package


class LogMelParams(SpectrogramParams):
    """windows: number of windows of a clip, evenly spread over it; in a short clip they overlap.

    A clip of less than one window fails.
    """

    windows: int = Field(3, ge=1)

    def shape(self) -> tuple[int, int, int]:
        """Windows, bands and frames: the shape of the array that a vector is."""
        return self.windows, self.bands, self.frames()


class LogMelEncoder(AudioEncoder):
    """Computes the log-mel spectrograms of windows of an audio clip, for rankers that train a network on them.

    Takes n files and returns float32 [n, windows · bands · frames].
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
        out, (windows, _, frames) = self._nan_rows(inputs), self.params.shape()
        for index, samples in self._clips(inputs, progress, self.name):
            table = log_mel(samples, self.params)
            if len(samples) >= frames * self.params.hop:
                starts = np.linspace(0, table.shape[1] - frames, windows).astype(int)
                out[index] = np.stack([table[:, start : start + frames] for start in starts]).ravel()
        return out

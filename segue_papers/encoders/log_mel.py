"""`log-mel`: windows of the log-mel spectrogram of a clip, for rankers that train their own network.

Source: Lee, Lee, Park, Park and Nam, "Deep content-user embedding model for music recommendation", 2018, with 128 mel
bands over 3 s. The spectrogram is identical to `mel-cnn-1d`. A window of the default size takes 66 kB per track. No
pretrained weights.
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
    """Parameters of `log-mel`.

    - windows: number of evenly spaced windows in a clip. Windows of a short clip overlap.

    A clip shorter than one window counts as unreadable.
    """

    windows: int = Field(3, ge=1)

    def shape(self) -> tuple[int, int, int]:
        """Return windows, bands and frames, the shape of a vector as an array."""
        return self.windows, self.bands, self.frames()


class LogMelEncoder(AudioEncoder):
    """Audio encoder with log-mel spectrograms of windows of a clip, for rankers that train their own network.

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
        """Return float32 [n, d] for n files, with NaN for files that are unreadable or shorter than one window."""
        out, (windows, _, frames) = self._nan_rows(inputs), self.params.shape()
        for index, samples in self._clips(inputs, progress, self.name):
            table = log_mel(samples, self.params)
            if len(samples) >= frames * self.params.hop:
                starts = np.linspace(0, table.shape[1] - frames, windows).astype(int)
                out[index] = np.stack([table[:, start : start + frames] for start in starts]).ravel()
        return out

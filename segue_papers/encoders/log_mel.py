"""`log-mel`: log-mel spectrogram of a clip, for rankers that train their own network on windows of it.

Source: Lee, Lee, Park, Park and Nam, "Deep content-user embedding model for music recommendation", 2018, with 128 mel
bands and windows of 3 s, which the ranker draws from the clip. The spectrogram is identical to `mel-cnn-1d`. 30 s of
the default size take 0.66 MB per track. No pretrained weights.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from segue_papers.encoders.mel_spectrogram import SpectrogramParams, log_mel
from toolkit.encoders.audio.audio_encoder import AudioEncoder
from toolkit.encoders.contract.encoder import Audio, EncoderParams, Progress
from toolkit.packages import LIBROSA, Package


class LogMelParams(SpectrogramParams):
    """Parameters of `log-mel`.

    A clip shorter than one window counts as unreadable. A clip shorter than `seconds` is repeated to this length.
    """

    def shape(self) -> tuple[int, int]:
        """Return bands and frames, the shape of a vector as an array."""
        return self.bands, max(self.frames(), round(self.seconds * self.rate) // self.hop)


class LogMelEncoder(AudioEncoder):
    """Audio encoder with the log-mel spectrogram of a clip, for rankers that train their own network.

    Takes n files and returns float32 [n, bands · frames].
    """

    name: ClassVar[str] = "log-mel"
    version: ClassVar[str] = "2"
    seeded: ClassVar[bool] = False
    source: ClassVar[str] = "Lee et al. 2018, input of the audio model"
    Params: ClassVar[type[EncoderParams]] = LogMelParams
    requires: ClassVar[tuple[Package, ...]] = (*AudioEncoder.requires, LIBROSA)
    params: LogMelParams

    @property
    def dim(self) -> int:
        bands, frames = self.params.shape()
        return bands * frames

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for n files, with NaN for files that are unreadable or shorter than one window."""
        out, (bands, frames) = self._nan_rows(inputs), self.params.shape()
        for index, samples in self._clips(inputs, progress, self.name):
            whole = len(samples) // self.params.hop
            if whole >= self.params.frames():
                table = log_mel(samples, self.params)[:, :whole]
                out[index] = np.resize(table.T, (frames, bands)).T.ravel()
        return out

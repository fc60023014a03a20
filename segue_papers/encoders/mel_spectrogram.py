"""Windows of log-mel spectrograms, and the base class for the two networks over them."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from toolkit.encoders.audio.audio_encoder import AudioParams
from toolkit.encoders.audio.audio_network import AudioNetworkEncoder, AudioNetworkParams


class SpectrogramParams(AudioParams):
    """Parameters of a log-mel spectrogram.

    - window: length of a window in seconds.
    - bands: number of mel bands.
    - fft, hop: number of samples in a frame, and number of samples between frames.
    - compression: factor c in log(1 + c · magnitude).
    """

    window: float = Field(3.0, gt=0, le=600)
    bands: int = Field(128, ge=1)
    fft: int = Field(1024, ge=16)
    hop: int = Field(512, ge=1)
    compression: float = Field(10.0, gt=0)

    def frames(self) -> int:
        """Return the number of frames in a window."""
        return round(self.window * self.rate) // self.hop


class MelParams(SpectrogramParams, AudioNetworkParams):
    """Parameters of a network over windows of a spectrogram.

    A clip is cut into whole windows. A shorter clip is padded with silence.
    """

    filters: list[Annotated[int, Field(ge=1)]] = Field([1], min_length=1)
    kernel: int = Field(4, ge=1)
    pool: int = Field(2, ge=1)

    def frames_left(self) -> int:
        """Return the number of frames of a window after the last convolution and pooling."""
        frames = self.frames()
        for _ in self.filters:
            frames = (frames - self.kernel + 1) // self.pool
        return frames

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.frames_left() < 1:
            raise ValueError(
                f"{len(self.filters)} layers with kernel={self.kernel} and pool={self.pool} must leave at least 1 of "
                f"{self.frames()} frames: reduce kernel, pool or the number of layers"
            )
        return self


class MelEncoder(AudioNetworkEncoder):
    """Base class for networks over windows of a log-mel spectrogram."""

    params: MelParams

    @property
    def min_samples(self) -> int:
        return self.params.frames() * self.params.hop

    def _windows(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        return [mel_windows(clip, self.params) for clip in clips]


def log_mel(samples: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Return log(1 + c · x) of the mel spectrogram, computed by librosa, float32 [bands, frames]."""
    import librosa

    padded = np.pad(samples, (0, max(0, params.fft - len(samples))))
    size = librosa.feature.melspectrogram(
        y=padded,
        sr=params.rate,
        n_fft=params.fft,
        hop_length=params.hop,
        n_mels=params.bands,
        power=1.0,
        pad_mode="constant",
    )
    return np.log1p(params.compression * size).astype(np.float32)


def mel_windows(samples: np.ndarray, params: MelParams) -> np.ndarray:
    """Return the whole windows of a clip, float32 [windows, bands, frames].

    A clip shorter than one window is padded with silence.
    """
    table, frames = log_mel(samples, params), params.frames()
    count = max(1, len(samples) // (frames * params.hop))
    table = np.pad(table, ((0, 0), (0, max(0, count * frames - table.shape[1]))))[:, : count * frames]
    return np.ascontiguousarray(table.reshape(params.bands, count, frames).transpose(1, 0, 2))

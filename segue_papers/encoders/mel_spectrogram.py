"""Windows of log-mel spectrograms, and the base class for the two networks over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from toolkit.encoders.audio.audio_encoder import AudioParams
from toolkit.encoders.audio.audio_network import AudioNetworkEncoder, AudioNetworkParams, TrainingWindows
from toolkit.seeds import derived_seed

if TYPE_CHECKING:
    from torch import nn

BLOCK = 256
"""Windows whose mean and deviation are computed at once."""


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

    Vectors are means over the whole windows of a clip. A shorter clip is padded with silence. For training, as many
    windows are drawn at random in each clip, anew for each epoch.
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
    """Base class for networks over windows of a log-mel spectrogram.

    Bands are normalised by their mean and standard deviation over all training windows.
    """

    version: ClassVar[str] = "2"
    params: MelParams
    bands: tuple[np.ndarray, np.ndarray] | None = None
    """Mean and standard deviation of each band, float32 [bands], while a network is fitted."""

    def _normaliser(self) -> nn.Module:
        """Return the first layer. A restored network has the saved mean and deviation."""
        from segue_papers.encoders.band_normaliser import BandNormaliser

        return BandNormaliser(*(self.bands or (np.zeros(self.params.bands), np.ones(self.params.bands))))

    def _training_windows(self, windows: np.ndarray, owners: np.ndarray) -> TrainingWindows:
        self.bands = mean_and_deviation(windows, np.arange(len(windows)))
        return RandomWindows(windows, owners, derived_seed(self.seed, self.name, "windows"))

    @property
    def min_samples(self) -> int:
        return self.params.frames() * self.params.hop

    def _windows(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        return [mel_windows(clip, self.params) for clip in clips]


class RandomWindows(TrainingWindows):
    """Windows of clips, drawn at random for each epoch.

    - windows: consecutive windows of clips, float32 [w, bands, frames]. Two neighbours of a clip give every window
      between them.
    - owners: the clip of each window, int64 [w], with equal numbers next to each other.
    - seed: seed of the draws. An epoch's windows depend on its number alone.
    """

    def __init__(self, windows: np.ndarray, owners: np.ndarray, seed: int) -> None:
        super().__init__(windows)
        self.seed, self.frames = seed, windows.shape[2]
        _, self.first, inverse, counts = np.unique(owners, return_index=True, return_inverse=True, return_counts=True)
        self.first, self.span = self.first[inverse], (counts[inverse] - 1) * self.frames
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        rng = np.random.default_rng(derived_seed(self.seed, "epoch", epoch))
        self.starts = rng.integers(self.span + 1)

    def load(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), *self.windows.shape[1:]), np.float32)
        for place, row in enumerate(rows):
            before, within = divmod(int(self.starts[row]), self.frames)
            at = int(self.first[row]) + before
            out[place, :, : self.frames - within] = self.windows[at][:, within:]
            if within:
                out[place, :, self.frames - within :] = self.windows[at + 1][:, :within]
        return out


def mean_and_deviation(windows: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and standard deviation of each band over [rows, bands, frames] of a table, float64 [bands]."""
    total = square = np.zeros(windows.shape[1])
    for low in range(0, len(rows), BLOCK):
        part = windows[rows[low : low + BLOCK]].astype(np.float64)
        total, square = total + part.sum(axis=(0, 2)), square + np.square(part).sum(axis=(0, 2))
    count = max(1, len(rows)) * windows.shape[2]
    mean = total / count
    return mean, np.sqrt(np.maximum(square / count - mean**2, 0))


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

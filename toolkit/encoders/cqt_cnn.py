"""`cqt-cnn`: a convolutional network over the constant-Q transform of 15 s, trained to predict a track's factors.

Source: Oramas, Nieto, Sordo and Serra, "A deep multimodal approach for cold-start music recommendation", 2017, its track embeddings:
log-magnitude CQT of 96 bins (12 an octave, 22,050 Hz, hop 1,024, Hann), convolutions over time alone with 256, 512, 1,024 and 1,024
filters, max-pooling by 4 after the first three, ReLU, dropout 0.5 of the 4,096 numbers left, a linear layer of 200 factors whose output has
length 1, trained by cosine distance. The paper gives no kernel width: 4, without padding in the first three layers and with it in the
last, takes 323 frames to 4 x 1,024 = 4,096. No pretrained weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from toolkit.encoders.audio_network import AudioNetworkEncoder, AudioNetworkParams
from toolkit.encoders.base import EncoderParams
from toolkit.encoders.cqt import Cqt
from toolkit.errors import InputError

if TYPE_CHECKING:
    from torch import nn


class CqtCnnParams(AudioNetworkParams):
    """filters: of each convolution. kernel: frames wide. pool: frames that max-pooling joins, after every layer but the last.
    A file shorter than `seconds` ends in silence."""

    seconds: float = Field(15.0, gt=0, le=600)
    bins: int = Field(96, ge=1)
    per_octave: int = Field(12, ge=1)
    hop: int = Field(1024, ge=1)
    filters: list[Annotated[int, Field(ge=1)]] = Field([256, 512, 1024, 1024], min_length=2)
    kernel: int = Field(4, ge=1)
    pool: int = Field(4, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            transform = self.transform()
        except InputError as error:
            raise ValueError(str(error)) from None
        if self.frames_left() < 1:
            frames = transform.frames(self.samples())
            raise ValueError(f"{len(self.filters)} layers of kernel={self.kernel} and pool={self.pool} leave nothing of {frames} frames")
        return self

    def samples(self) -> int:
        return round(self.seconds * self.rate)

    def transform(self) -> Cqt:
        return Cqt(rate=self.rate, hop=self.hop, bins=self.bins, per_octave=self.per_octave)

    def frames_left(self) -> int:
        """Frames after the last layer."""
        frames = self.transform().frames(self.samples())
        for _ in self.filters[:-1]:
            frames = (frames - self.kernel + 1) // self.pool
        return frames


class CqtCnnEncoder(AudioNetworkEncoder):
    """The middle 15 s of a file: float32 [n, 4096], or [n, t] for `output: prediction`."""

    name: ClassVar[str] = "cqt-cnn"
    source: ClassVar[str] = "Oramas et al. 2017, track embeddings from audio"
    Params: ClassVar[type[EncoderParams]] = CqtCnnParams
    params: CqtCnnParams

    @property
    def width(self) -> int:
        return self.params.filters[-1] * self.params.frames_left()

    def _windows(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        import torch

        size = self.params.samples()
        padded = np.stack([np.pad(clip[:size], (0, max(0, size - len(clip)))) for clip in clips])
        return list(self.params.transform().decibels(torch.from_numpy(padded).to(self.device)).cpu().numpy()[:, None])

    def _trunk(self) -> nn.Module:
        from torch import nn

        layers: list[nn.Module] = []
        before = self.params.bins
        for filters in self.params.filters[:-1]:
            layers += [nn.Conv1d(before, filters, self.params.kernel), nn.ReLU(), nn.MaxPool1d(self.params.pool)]
            before = filters
        around = self.params.kernel - 1
        layers += [nn.ZeroPad1d((around // 2, around - around // 2)), nn.Conv1d(before, self.params.filters[-1], self.params.kernel)]
        return nn.Sequential(*layers, nn.ReLU(), nn.Flatten())

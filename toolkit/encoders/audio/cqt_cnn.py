"""`cqt-cnn`: a convolutional network over the constant-Q transform of 15 s, trained to predict a track's factors.

Source: Oramas, Nieto, Sordo and Serra, "A deep multimodal approach for cold-start music recommendation", 2017, its
track embeddings: log-magnitude CQT of 96 bins (12 an octave, 22,050 Hz, hop 1,024, Hann), convolutions over time with
256, 512, 1,024 and 1,024 filters, max-pooling by 4 after the first three, ReLU, dropout 0.5 of the remaining 4,096
numbers, a linear layer of 200 factors whose output has length 1, cosine distance as the loss. The paper gives no kernel
width. With 4, unpadded in the first three layers and padded in the last, 323 frames become 4 x 1,024 = 4,096 numbers.
No pretrained weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from toolkit.encoders.audio.audio_network import AudioNetworkEncoder, AudioNetworkParams
from toolkit.encoders.audio.cqt_spectrogram import CqtParams
from toolkit.encoders.contract.encoder import EncoderParams
from toolkit.encoders.learning.network_layers import convolutions, frames_left

if TYPE_CHECKING:
    from torch import nn


class CqtCnnParams(CqtParams, AudioNetworkParams):
    """Parameters of the network.

    - filters: number of filters of each convolution.
    - kernel: width of a filter in frames.
    - pool: frames that max-pooling joins, after every layer but the last.
    """

    filters: list[Annotated[int, Field(ge=1)]] = Field([256, 512, 1024, 1024], min_length=2)
    kernel: int = Field(4, ge=1)
    pool: int = Field(4, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.frames_left() < 1:
            raise ValueError(
                f"{len(self.filters)} layers of kernel={self.kernel} and pool={self.pool} leave nothing of "
                f"{self.frames()} frames"
            )
        return self

    def frames_left(self) -> int:
        """Number of frames after the last layer."""
        return frames_left(self.frames(), self.filters, self.kernel, self.pool)


class CqtCnnEncoder(AudioNetworkEncoder):
    """Encodes audio with a convolutional network over the constant-Q transform, trained to predict factors.

    Takes n files, of which it reads the middle 15 s. Returns float32 [n, 4096], or [n, t] for `output: prediction`.
    """

    name: ClassVar[str] = "cqt-cnn"
    source: ClassVar[str] = "Oramas et al. 2017, track embeddings from audio"
    Params: ClassVar[type[EncoderParams]] = CqtCnnParams
    params: CqtCnnParams

    @property
    def min_samples(self) -> int:
        return self.params.samples()

    @property
    def width(self) -> int:
        return self.params.filters[-1] * self.params.frames_left()

    def _windows(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        return list(self.params.spectrograms(clips, self.device)[:, None])

    def _trunk(self) -> nn.Module:
        return convolutions(self.params.bins, self.params.filters, self.params.kernel, self.params.pool)

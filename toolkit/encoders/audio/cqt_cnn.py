"""`cqt-cnn`: convolutional network over the constant-Q transform of 15 s, trained to predict the factors of a track.

Source: track embeddings of Oramas, Nieto, Sordo and Serra, "A deep multimodal approach for cold-start music
recommendation", 2017. The input is a log-magnitude CQT with 96 bins (12 per octave, 22,050 Hz, hop 1,024, Hann). The
network has convolutions over time with 256, 512, 1,024 and 1,024 filters, ReLU, max-pooling by 4 after the first three
layers, dropout 0.5 after each of the four, and a linear layer with 200 factors of unit norm. The loss is the cosine
distance. The paper gives no kernel width. With width 4, unpadded in the first three layers and padded in the last, 323
frames become 4 x 1,024 = 4,096 numbers. Each of the 96 bins is standardised before the first layer, of which the paper
says nothing. No pretrained weights.
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

    - filters: number of filters in each convolution.
    - kernel: width of a filter in frames.
    - pool: max-pooling size in frames, after every layer but the last.
    - dropout: dropout rate after each convolution in training.
    """

    filters: list[Annotated[int, Field(ge=1)]] = Field([256, 512, 1024, 1024], min_length=2)
    kernel: int = Field(4, ge=1)
    pool: int = Field(4, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.frames_left() < 1:
            raise ValueError(
                f"{len(self.filters)} layers with kernel={self.kernel} and pool={self.pool} must leave at least 1 of "
                f"{self.frames()} frames: reduce kernel, pool or the number of layers"
            )
        return self

    def frames_left(self) -> int:
        """Return the number of frames after the last layer."""
        return frames_left(self.frames(), self.filters, self.kernel, self.pool)


class CqtCnnEncoder(AudioNetworkEncoder):
    """Audio encoder with a convolutional network over the constant-Q transform, trained to predict factors.

    Takes n files, reads the middle 15 s of each, and returns float32 [n, 4096], or [n, t] for `output: prediction`.
    """

    name: ClassVar[str] = "cqt-cnn"
    version: ClassVar[str] = "2"
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
        params = self.params
        return convolutions(params.bins, params.filters, params.kernel, params.pool, params.dropout)

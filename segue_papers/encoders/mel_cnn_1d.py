"""`mel-cnn-1d`: five one-dimensional convolutions over 3 s of a log-mel spectrogram.

Source: audio model of Lee, Lee, Park, Park and Nam, "Deep content-user embedding model for music recommendation", 2018.
A mel spectrogram with 128 bands, normalised by the mean and standard deviation of the training data, passes through
five convolutions over time with ReLU and max-pooling. The paper gives no sizes. Batch normalisation in each layer, the
numbers of filters (128, 128, 128, 128, 256), their width (3) and the pooling (3; the last layer averages over the
remaining frames) are our own. The paper trains the network together with user embeddings. Here the network predicts
targets, either factors or labels. No pretrained weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, model_validator

from segue_papers.encoders.mel_spectrogram import MelEncoder, MelParams
from toolkit.encoders.contract.encoder import EncoderParams

if TYPE_CHECKING:
    from torch import nn


class MelCnn1dParams(MelParams):
    """Parameters of the network.

    - filters: number of filters in each convolution. The last number is the size of the embedding.
    - kernel: width of a filter in frames, odd.
    - pool: max-pooling size in frames, after every convolution but the last.
    """

    filters: list[Annotated[int, Field(ge=1)]] = Field([128, 128, 128, 128, 256], min_length=1)
    kernel: int = Field(3, ge=1)
    pool: int = Field(3, ge=1)

    def frames_left(self) -> int:
        """Return the number of frames in the last convolution. Convolutions do not change the number of frames."""
        return self.frames() // self.pool ** (len(self.filters) - 1)

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(
                f"kernel={self.kernel} must be odd because filters are centred on a frame: set kernel to an odd number"
            )
        return self


class MelCnn1dEncoder(MelEncoder):
    """Audio encoder with five one-dimensional convolutions over windows of a log-mel spectrogram.

    Takes n files and returns float32 [n, 256], the mean over the windows of a clip, or [n, t] for `output: prediction`.
    """

    name: ClassVar[str] = "mel-cnn-1d"
    source: ClassVar[str] = "Lee et al. 2018, audio model"
    Params: ClassVar[type[EncoderParams]] = MelCnn1dParams
    params: MelCnn1dParams

    @property
    def width(self) -> int:
        return self.params.filters[-1]

    def _trunk(self) -> nn.Module:
        return mel_trunk(
            self._normaliser(), self.params.bands, self.params.filters, kernel=self.params.kernel, pool=self.params.pool
        )


def mel_trunk(normaliser: nn.Module, bands: int, filters: Sequence[int], *, kernel: int, pool: int) -> nn.Module:
    """Return the network up to the mean over the remaining frames, [n, bands, frames] -> [n, filters[-1]]."""
    from torch import nn

    layers: list[nn.Module] = [normaliser]
    for number, (before, after) in enumerate(pairwise([bands, *filters])):
        pooling = [nn.MaxPool1d(pool)] if number else []
        layers += [*pooling, nn.Conv1d(before, after, kernel, padding="same"), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten())

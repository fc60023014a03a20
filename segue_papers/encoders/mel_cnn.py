"""`mel-cnn`: convolutional network over 3 s windows of a log-mel spectrogram, averaged over the clip.

Source: networks of van den Oord, Dieleman and Schrauwen, "Deep content-based music recommendation", 2013. The input is
a log-compressed mel spectrogram with 128 bands (22,050 Hz, frames of 1,024 samples every 512) in windows of 3 s. The
network has ReLU and max-pooling, is trained with the squared error of the track factors on windows drawn at random, and
averages predictions over the windows of a clip. The paper gives no sizes and reports that dropout does not help. The
sizes here are our own, with four convolutions over time (width 4) with 256, 256, 512 and 512 filters, each with ReLU
and pooling by 2, then the mean and the maximum over the remaining frames, and a dense layer with 512 units. Bands are
normalised by their mean and standard deviation over the training windows, and the optimiser is Adam: the paper states
neither. No pretrained weights.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from segue_papers.encoders.mel_spectrogram import MelEncoder, MelParams
from toolkit.encoders.contract.encoder import EncoderParams

if TYPE_CHECKING:
    from torch import nn


class MelCnnParams(MelParams):
    """Parameters of the network.

    - filters: number of filters in each convolution.
    - kernel: width of a filter in frames.
    - pool: max-pooling size in frames, after each convolution.
    - hidden: size of the embedding.
    """

    filters: list[Annotated[int, Field(ge=1)]] = Field([256, 256, 512, 512], min_length=1)
    hidden: int = Field(512, ge=1)
    loss: Literal["cosine", "squared", "weighted", "logistic"] = "squared"
    output: Literal["embedding", "prediction"] = "prediction"


class MelCnnEncoder(MelEncoder):
    """Audio encoder with a convolutional network over windows of a log-mel spectrogram, averaged over the clip.

    Takes n files and returns float32 [n, t], or [n, hidden] for `output: embedding`, both as means over the windows of
    a clip.
    """

    name: ClassVar[str] = "mel-cnn"
    source: ClassVar[str] = "van den Oord et al. 2013, networks"
    Params: ClassVar[type[EncoderParams]] = MelCnnParams
    params: MelCnnParams

    @property
    def width(self) -> int:
        return self.params.hidden

    def _trunk(self) -> nn.Module:
        from torch import nn

        from toolkit.encoders.learning.supervised_network import MeanAndMaximum

        layers, sizes = list[nn.Module]([self._normaliser()]), [self.params.bands, *self.params.filters]
        for before, after in pairwise(sizes):
            layers += [nn.Conv1d(before, after, self.params.kernel), nn.ReLU(), nn.MaxPool1d(self.params.pool)]
        return nn.Sequential(*layers, MeanAndMaximum(), nn.Linear(2 * sizes[-1], self.params.hidden), nn.ReLU())

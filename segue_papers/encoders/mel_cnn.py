"""`mel-cnn`: a convolutional network over 3 s windows of a log-mel spectrogram; its predictions are averaged over the clip.

Source: van den Oord, Dieleman and Schrauwen, "Deep content-based music recommendation", 2013, its networks: log-compressed mel
spectrograms of 128 bands, 22,050 Hz, windows of 1,024 samples every 512, 3 s at a time, ReLU and max-pooling, squared error of a track's
factors, the predictions of a clip's windows averaged. The paper gives no sizes and found dropout of no use; the sizes here are ours: four
convolutions over time (width 4) of 256, 256, 512 and 512 filters, each with ReLU and pooling by 2, then the mean and the maximum over the
frames left, and a fully connected layer of 512. The bands are normalised first. No pretrained weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from segue_papers.encoders.mel_spectrogram import MelEncoder, MelParams
from toolkit.encoders.contract.encoder import EncoderParams

if TYPE_CHECKING:
    from torch import nn


class MelCnnParams(MelParams):
    """filters: of each convolution. kernel: frames wide. pool: frames that max-pooling joins after each. hidden: size of the embedding."""

    filters: list[Annotated[int, Field(ge=1)]] = Field([256, 256, 512, 512], min_length=1)
    hidden: int = Field(512, ge=1)
    loss: Literal["cosine", "squared", "weighted", "logistic"] = "squared"
    output: Literal["embedding", "prediction"] = "prediction"


class MelCnnEncoder(MelEncoder):
    """Encodes audio with a convolutional network over windows of a log-mel spectrogram, averaged over the clip.

    Returns float32 [n, t], or [n, hidden] for `output: embedding`. Both are means over a clip's windows.
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

        from toolkit.encoders.learning.predictor_network import MeanAndMaximum

        layers: list[nn.Module] = [nn.BatchNorm1d(self.params.bands)]
        before = self.params.bands
        for filters in self.params.filters:
            layers += [nn.Conv1d(before, filters, self.params.kernel), nn.ReLU(), nn.MaxPool1d(self.params.pool)]
            before = filters
        return nn.Sequential(*layers, MeanAndMaximum(), nn.Linear(2 * before, self.params.hidden), nn.ReLU())

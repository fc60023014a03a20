"""`image-classifier`: network trained to predict track labels, such as genre or tags, from album covers.

Source: multimodal BERT4Rec report (USC), which names supervised encoders as future work. The backbones are shared with
`image-ae` and `image-model` and are trained on labels of the training split. The vector is the layer before the labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from toolkit.encoders.contract.encoder import EncoderParams, Images, Kind, Progress
from toolkit.encoders.image import pretrained_images
from toolkit.encoders.image.conv_image_encoder import ConvParams, tensor
from toolkit.encoders.image.pixels import decoded, table_of
from toolkit.encoders.learning.base_classifier import ClassifierEncoder, ClassifierParams, LoadInputs
from toolkit.packages import PILLOW, Package

if TYPE_CHECKING:
    from torch import nn


class ImageClassifierParams(ConvParams, ClassifierParams):
    """Parameters of `image-classifier`.

    Without `model`, the convolutions of `image-ae` are trained from scratch with the settings `size`, `patch` and
    `channels`.
    """


class ImageClassifierEncoder(ClassifierEncoder[bytes]):
    """Image encoder with a network trained to predict labels, such as genre or tags, from album covers.

    Takes n encoded pictures and returns float32 [n, dim] with values from -1 to 1.
    """

    name: ClassVar[str] = "image-classifier"
    version: ClassVar[str] = "2"
    kind: ClassVar[Kind] = "image"
    source: ClassVar[str] = "multimodal BERT4Rec report (USC), future work: encoders fine-tuned on labels"
    Params: ClassVar[type[EncoderParams]] = ImageClassifierParams
    requires: ClassVar[tuple[Package, ...]] = (PILLOW,)
    params: ImageClassifierParams

    def _prepare(self, inputs: Images, workdir: Path | None = None, progress: Progress | None = None) -> LoadInputs:
        import torch

        if not self.pretrained:
            table = decoded(inputs, size=self.params.size, workdir=workdir, progress=progress)
            return lambda rows: tensor(table[rows])
        prepared = pretrained_images.Preparation.read(self.folder)
        cropped = table_of(inputs, prepared.size, prepared.cropped, workdir=workdir, progress=progress)
        return lambda rows: torch.from_numpy(prepared.normalised(cropped[rows]))

    def _backbone(self) -> tuple[nn.Module, int]:
        from toolkit.encoders.learning.autoencoder_network import conv_autoencoder
        from toolkit.encoders.learning.fine_tuning import FineTunedImages

        if not self.pretrained:
            params = self.params
            whole = conv_autoencoder(params.size, params.patch, params.channels, 1, variational=False)
            return whole.trunk, whole.bottleneck.in_features
        network = pretrained_images.load(self.folder, str(self.params.model), "cpu")
        size = pretrained_images.Preparation.read(self.folder).size
        return FineTunedImages(network), pretrained_images.output(network, size)

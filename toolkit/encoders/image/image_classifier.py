"""`image-classifier`: album covers through a network that learned their tracks' labels (genre, tags).

The supervised variant that the multimodal BERT4Rec report (USC) names as a next step: the backbones of `image-ae` and
`image-model`, fine-tuned on labels of the training split; the embedding is the layer before the labels.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.encoder import EncoderParams, Images, Kind, Progress
from toolkit.encoders.image import pretrained_images
from toolkit.encoders.image.conv_image_encoder import ConvParams, tensor
from toolkit.encoders.image.pixels import decoded, table_of
from toolkit.encoders.learning.classifier_encoder import Batches, Classifier, ClassifierParams
from toolkit.packages import PILLOW, Package

if TYPE_CHECKING:
    from torch import nn


class ImageClassifierParams(ConvParams, ClassifierParams):
    """model: folder or hub name of a picture model to fine-tune; without one, the convolutions of `image-ae` learn from
    nothing (size, patch and channels are theirs)."""

    model: str | None = None


class ImageClassifierEncoder(Classifier):
    """Encodes album covers with an image network trained to predict labels, such as genre or tags.

    Returns float32 [n, dim], values from -1 to 1.
    """

    name: ClassVar[str] = "image-classifier"
    kind: ClassVar[Kind] = "image"
    source: ClassVar[str] = "multimodal BERT4Rec report (USC), future work: encoders fine-tuned on labels"
    Params: ClassVar[type[EncoderParams]] = ImageClassifierParams
    requires: ClassVar[tuple[Package, ...]] = (PILLOW,)
    params: ImageClassifierParams

    @property
    def pretrained(self) -> bool:
        return self.params.model is not None

    @cached_property
    def folder(self) -> Path:
        """Where the model's files are. Raises `InputError` for a model that cannot be found."""
        return pretrained_images.find(str(self.params.model))

    def check_files(self) -> None:
        if self.pretrained:
            pretrained_images.find(str(self.params.model), download=False)

    def fingerprint(self) -> str:
        return model_hub.fingerprint(self.folder) if self.pretrained else ""

    def licence(self) -> str:
        return f"not known here: see where {self.params.model} comes from" if self.pretrained else ""

    def _batches(self, inputs: Images, workdir: Path | None = None, progress: Progress | None = None) -> Batches:
        import torch

        if not self.pretrained:
            table = decoded(inputs, size=self.params.size, workdir=workdir, progress=progress)
            return lambda rows: tensor(table[rows])
        prepared = pretrained_images.Preparation.read(self.folder)
        cropped = table_of(inputs, prepared.size, prepared.cropped, workdir=workdir, progress=progress)
        return lambda rows: torch.from_numpy(prepared.normalised(cropped[np.asarray(rows)]))

    def _backbone(self) -> tuple[nn.Module, int]:
        from toolkit.encoders.learning.autoencoder import conv_autoencoder
        from toolkit.encoders.learning.fine_tuning import TunedPictures

        if not self.pretrained:
            params = self.params
            whole = conv_autoencoder(params.size, params.patch, params.channels, 1, variational=False)
            return whole.trunk, whole.bottleneck.in_features
        network = pretrained_images.load(self.folder, str(self.params.model), "cpu")
        return TunedPictures(network), pretrained_images.output(
            network, pretrained_images.Preparation.read(self.folder).size
        )

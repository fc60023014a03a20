"""`image-ae`: convolutional autoencoder for album covers.

Source: multimodal BERT4Rec report (USC), section 4.2.3: 128 x 128 x 3 covers, mean squared error, latent size 128. No
pretrained weights.
"""

from __future__ import annotations

from typing import ClassVar

from toolkit.encoders.contract.encoder import EncoderParams
from toolkit.encoders.image.conv_image_encoder import ImageEncoder, ImageParams


class ImageAeEncoder(ImageEncoder):
    """Image encoder with a convolutional autoencoder for album covers.

    Takes n encoded pictures and returns float32 [n, latent].
    """

    name: ClassVar[str] = "image-ae"
    version: ClassVar[str] = "2"
    variational: ClassVar[bool] = False
    source: ClassVar[str] = "multimodal BERT4Rec report (USC) §4.2.3"
    Params: ClassVar[type[EncoderParams]] = ImageParams

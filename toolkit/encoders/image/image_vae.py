"""`image-vae`: convolutional variational autoencoder for album covers.

Source: multimodal BERT4Rec report (USC), section 4.2.3: 128 x 128 x 3 covers, ELBO, latent size 128. Kingma and Welling
2014 for the ELBO. No pretrained weights.
"""

from __future__ import annotations

from typing import ClassVar

from toolkit.encoders.contract.encoder import EncoderParams
from toolkit.encoders.image.conv_image_encoder import ImageEncoder, ImageParams
from toolkit.encoders.learning.base_autoencoder import VariationalParams


class ImageVaeParams(ImageParams, VariationalParams):
    """Parameters of `image-vae`, the settings of `image-ae` with beta and output."""


class ImageVaeEncoder(ImageEncoder):
    """Image encoder with a convolutional variational autoencoder (VAE) for album covers.

    Takes n encoded pictures and returns float32 [n, latent], or [n, 2 · latent] for `mu+sigma`.
    """

    name: ClassVar[str] = "image-vae"
    version: ClassVar[str] = "2"
    variational: ClassVar[bool] = True
    source: ClassVar[str] = "multimodal BERT4Rec report (USC) §4.2.3; Kingma and Welling 2014"
    Params: ClassVar[type[EncoderParams]] = ImageVaeParams

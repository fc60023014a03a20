"""`image-vae`: album covers through a convolutional variational autoencoder.

Source: multimodal BERT4Rec report (USC), section 4.2.3: 128 x 128 x 3 covers, ELBO, latent size 128. Kingma and Welling
2014 for the ELBO. No pretrained weights.
"""

from __future__ import annotations

from typing import ClassVar

from toolkit.encoders.contract.encoder import EncoderParams
from toolkit.encoders.image.conv_image_encoder import ImageEncoder, ImageParams
from toolkit.encoders.learning.base_autoencoder import VariationalParams


class ImageVaeParams(ImageParams, VariationalParams):
    """Parameters of `image-ae`, with beta and output of a variational autoencoder."""


class ImageVaeEncoder(ImageEncoder):
    """Encodes album covers with a convolutional variational autoencoder (VAE).

    Takes n encoded pictures. Returns float32 [n, latent], or [n, 2 · latent] for `mu+sigma`.
    """

    name: ClassVar[str] = "image-vae"
    variational: ClassVar[bool] = True
    source: ClassVar[str] = "multimodal BERT4Rec report (USC) §4.2.3; Kingma and Welling 2014"
    Params: ClassVar[type[EncoderParams]] = ImageVaeParams

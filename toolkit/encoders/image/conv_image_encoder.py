"""Base class for encoders of pictures with a convolutional autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from toolkit import devices
from toolkit.encoders.contract.content_hash import digests
from toolkit.encoders.contract.encoder import EncoderParams, Images, Kind, Progress
from toolkit.encoders.contract.field_values import Files
from toolkit.encoders.image.pixels import decoded, save_pairs
from toolkit.encoders.learning.base_autoencoder import AutoencoderEncoder, AutoencoderParams
from toolkit.errors import InputError
from toolkit.packages import PILLOW, Package

if TYPE_CHECKING:
    from torch import Tensor

    from toolkit.encoders.learning.autoencoder_network import Autoencoder

BLOCK = 64
"""Number of pictures transformed at a time."""
SHARED_BATCH = 64
"""Batch size from which training uses more than one CPU thread.

Threads of smaller steps wait for each other longer than they compute (measured on two busy cores: 2.5 s an epoch of 770
covers on one thread, 25 s on two).
"""


class ConvParams(EncoderParams):
    """Parameters of a convolutional network over pictures.

    - size: side of the pictures in pixels.
    - patch: side of the pixel squares that are first folded into channels.
    - channels: number of channels after each convolution. Each convolution halves the side.
    """

    size: int = Field(128, ge=8)
    patch: int = Field(8, ge=1)
    channels: list[Annotated[int, Field(ge=1)]] = Field([64, 128], min_length=1)

    @model_validator(mode="after")
    def _halves(self) -> Self:
        step = self.patch * 2 ** len(self.channels)
        if self.size % step or self.size < 2 * step:
            raise ValueError(
                f"size={self.size} must be a multiple of {step}, at least {2 * step} (patch={self.patch}, "
                f"{len(self.channels)} channels): change size, patch or channels"
            )
        return self


class ImageParams(ConvParams, AutoencoderParams):
    """Parameters of a convolutional autoencoder over pictures.

    - bf16: mixed precision in training. Vectors are always computed in full precision.
    """

    epochs: int = Field(10, ge=1)
    batch: int = Field(16, ge=1)
    lr: float = Field(2e-3, gt=0)
    bf16: Literal["auto", "on", "off"] = "auto"


class ImageEncoder(AutoencoderEncoder):
    """Base class for image encoders with the code of a convolutional autoencoder over `size` x `size` RGB pixels."""

    kind: ClassVar[Kind] = "image"
    requires_fit: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = True
    variational: ClassVar[bool]
    requires: ClassVar[tuple[Package, ...]] = (PILLOW,)
    params: ImageParams

    def fit(
        self,
        inputs: Images,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit the autoencoder to n >= 1 encoded pictures. A killed fit resumes from `workdir`.

        Raises `BadInput` for a file that is not a picture.
        """
        if not len(inputs):
            raise InputError(f"encoder {self.name!r} got 0 pictures but requires at least 1: pass pictures to fit")
        table = decoded(inputs, size=self.params.size, workdir=workdir, progress=progress)
        self._train(
            lambda rows: tensor(table[rows]),
            digests("image", inputs),
            workdir=workdir,
            progress=progress,
            bf16=devices.wants_bf16(self.params.bf16, self.device),
            threads=1 if self.params.batch < SHARED_BATCH else None,
        )
        return self

    def transform(self, inputs: Images, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for n encoded pictures, always in full precision."""
        self._fitted()
        return self._in_batches(inputs, BLOCK, self._rows, progress)

    def _rows(self, inputs: Images) -> np.ndarray:
        images = list(inputs)
        content = digests("image", images) if self._output() == "sample" else None
        return self._embed(tensor(decoded(images, size=self.params.size)), content)

    def reconstruct(self, inputs: Images) -> np.ndarray:
        """Decode the codes of the inputs. Returns uint8 [n, size, size, 3]."""
        import torch

        model = self._fitted()
        with torch.inference_mode():
            batch = tensor(decoded(inputs, size=self.params.size)).to(self.device)
            back = model.decoder(model.encode(batch)[0]).float().cpu()
        return (back.permute(0, 2, 3, 1) * 255).round().clamp(0, 255).to(torch.uint8).numpy()

    def reconstructions(self, inputs: Sequence[bytes | Path], path: Path, *, count: int = 12) -> Path:
        """Write a PNG with the first `count` distinct pictures (bytes or files) next to their reconstructions."""
        pictures = Files(inputs)
        shown = list(dict.fromkeys(pictures[row] for row in range(min(20 * count, len(inputs)))))[:count]
        if not shown:
            raise InputError(
                f"encoder {self.name!r} got 0 pictures but requires at least 1: pass pictures to reconstruct"
            )
        save_pairs(decoded(shown, size=self.params.size), self.reconstruct(shown), path)
        return path

    def _build(self) -> Autoencoder:
        import torch

        from toolkit.encoders.learning.autoencoder_network import conv_autoencoder

        params = self.params
        model = conv_autoencoder(
            params.size, params.patch, params.channels, params.latent, variational=self.variational
        )
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def tensor(table: np.ndarray) -> Tensor:
    """Convert uint8 [n, size, size, 3] to channels-last float32 [n, 3, size, size] between 0 and 1."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(table)).permute(0, 3, 1, 2).float().div_(255)

"""What the two picture encoders share: decoding, training and embedding over a convolutional autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from toolkit import devices
from toolkit.encoders.contract.content_hash import digests
from toolkit.encoders.contract.encoder import EncoderParams, Images, Kind, Progress
from toolkit.encoders.contract.field_inputs import Files
from toolkit.encoders.image.pixels import decoded, save_pairs
from toolkit.encoders.learning.autoencoder_encoder import AutoencoderBase, AutoencoderParams
from toolkit.errors import InputError
from toolkit.packages import PILLOW, Package

if TYPE_CHECKING:
    from torch import Tensor

    from toolkit.encoders.learning.autoencoder import Autoencoder

BLOCK = 64
SHARED_BATCH = 64
"""Batches from which training uses more than one thread of the CPU; smaller steps wait for each other longer than
they compute (measured on two busy cores: 2.5 s an epoch of 770 covers on one thread, 25 s on two)."""


class ConvParams(EncoderParams):
    """size: side in pixels. patch: pixels folded into channels first. channels: of each convolution, which halves the side."""

    size: int = Field(128, ge=8)
    patch: int = Field(8, ge=1)
    channels: list[Annotated[int, Field(ge=1)]] = Field([64, 128], min_length=1)

    @model_validator(mode="after")
    def _halves(self) -> Self:
        step = self.patch * 2 ** len(self.channels)
        if self.size % step or self.size < 2 * step:
            raise ValueError(
                f"size={self.size} must be 2, 3, … times {step} (patch={self.patch}, halved by each of the channels)"
            )
        return self


class ImageParams(ConvParams, AutoencoderParams):
    """bf16: mixed precision in training; embeddings are always made in full precision."""

    epochs: int = Field(10, ge=1)
    batch: int = Field(16, ge=1)
    lr: float = Field(2e-3, gt=0)
    bf16: Literal["auto", "on", "off"] = "auto"


class ImageEncoder(AutoencoderBase):
    """Pictures, cut to `size` x `size` RGB, as the code of a convolutional autoencoder."""

    kind: ClassVar[Kind] = "image"
    learns: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = True
    variational: ClassVar[bool]
    requires: ClassVar[tuple[Package, ...]] = (PILLOW,)
    params: Any

    def fit(
        self,
        inputs: Images,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from n >= 1 encoded pictures; resumes from `workdir` after a kill. Raises `BadInput` for what is no picture."""
        if not len(inputs):
            raise InputError(f"{self.name} needs at least one picture to learn from")
        table = decoded(inputs, size=self.params.size, workdir=workdir, progress=progress)
        self._train(
            lambda rows: tensor(table[rows]),
            len(table),
            digests("image", inputs),
            workdir=workdir,
            progress=progress,
            bf16=self._bf16(),
            threads=1 if self.params.batch < SHARED_BATCH else None,
        )
        return self

    def transform(self, inputs: Images, *, progress: Progress | None = None) -> np.ndarray:
        """n encoded pictures -> float32 [n, d], always in full precision."""
        self._fitted()
        out = np.zeros((len(inputs), self.dim), np.float32)
        for start in range(0, len(out), BLOCK):
            part = [inputs[place] for place in range(start, min(start + BLOCK, len(out)))]
            marks = digests("image", part) if self._output() == "sample" else None
            out[start : start + BLOCK] = self._embed(tensor(self._pixels(part, start)), marks)
            if progress is not None:
                progress(start + len(part), len(out), self.name)
        return out

    def reconstruct(self, inputs: Images) -> np.ndarray:
        """Pictures as the decoder gives them back: uint8 [n, size, size, 3]."""
        import torch

        model = self._fitted()
        with torch.inference_mode():
            batch = tensor(self._pixels(inputs, 0)).to(self.device)
            back = model.decoder(model.encode(batch)[0]).float().cpu()
        return (back.permute(0, 2, 3, 1) * 255).round().clamp(0, 255).to(torch.uint8).numpy()

    def reconstructions(self, inputs: Sequence[bytes | Path], path: Path, *, count: int = 12) -> Path:
        """Write a PNG of the first `count` different pictures (bytes or files), each beside its reconstruction."""
        pictures = Files(inputs)
        shown = list(dict.fromkeys(pictures[place] for place in range(min(20 * count, len(inputs)))))[:count]
        if not shown:
            raise InputError(f"{self.name}: no picture to show")
        save_pairs(self._pixels(shown, 0), self.reconstruct(shown), path)
        return path

    def _pixels(self, images: Images, start: int) -> np.ndarray:
        from toolkit.encoders.contract.input_faults import BadInput

        try:
            return decoded(images, size=self.params.size)
        except BadInput as fault:
            raise BadInput(start + fault.index, fault.why) from None

    def _build(self) -> Autoencoder:
        import torch

        from toolkit.encoders.learning.autoencoder import conv_autoencoder

        params = self.params
        model = conv_autoencoder(
            params.size, params.patch, params.channels, params.latent, variational=self.variational
        )
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _bf16(self) -> bool:
        return devices.wants_bf16(self.params.bf16, self.device)


def tensor(table: np.ndarray) -> Tensor:
    """uint8 [n, size, size, 3] -> float32 [n, 3, size, size] in 0…1, laid out channels last."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(table)).permute(0, 3, 1, 2).float().div_(255)

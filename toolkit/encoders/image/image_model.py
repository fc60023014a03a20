"""`image-model`: album covers through a pretrained picture model of transformers.

Source: ResNet (He et al. 2016), EfficientNet (Tan and Le 2019), ViT (Dosovitskiy et al. 2021), CLIP (Radford et al. 2021);
default model: microsoft/resnet-50 (its page on the hub). Pictures are cropped, resized and normalised as the
model's `preprocessor_config.json` says. Weights are not part of the project: each model's own licence holds.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.encoder import EncoderParams, Images, Kind, Progress
from toolkit.encoders.contract.pretrained import PretrainedEncoder
from toolkit.encoders.image import pretrained_images
from toolkit.packages import PILLOW, TRANSFORMERS, Package

DEFAULT = "microsoft/resnet-50"
DEFAULT_DIM = 2048
"""Known without asking the hub, for lists of encoders."""


class ImageModelParams(EncoderParams):
    """model: folder or hub name. pool: `auto` is CLIP's image embedding, a network's pooled map, a transformer's class token;
    `mean` a transformer's mean over patches. normalise: rows of length 1. batch: pictures a step; default: 16 on CPU, 128
    on GPU. bf16: `auto` uses it where the device multiplies it in hardware and probe pictures keep cosine >= .999."""

    model: str = DEFAULT
    pool: Literal["auto", "mean"] = "auto"
    normalise: bool = False
    batch: int | None = Field(None, ge=1)
    bf16: Literal["auto", "on", "off"] = "auto"


class ImageModelEncoder(PretrainedEncoder):
    """Encodes album covers with a pretrained image model, such as ResNet, ViT or CLIP, without fine-tuning.

    Returns float32 [n, d].
    """

    name: ClassVar[str] = "image-model"
    kind: ClassVar[Kind] = "image"
    source: ClassVar[str] = "He et al. 2016; Tan and Le 2019; Dosovitskiy et al. 2021; Radford et al. 2021"
    weights_licence: ClassVar[str] = "Apache-2.0 (microsoft/resnet-50)"
    Params: ClassVar[type[EncoderParams]] = ImageModelParams
    requires: ClassVar[tuple[Package, ...]] = (TRANSFORMERS, PILLOW)
    params: ImageModelParams

    @property
    def dim(self) -> int:
        if self.params.model == DEFAULT:
            return DEFAULT_DIM
        known = pretrained_images.width(self.folder)
        return known if known is not None else pretrained_images.output(self._model, self._prepared.size)

    def licence(self) -> str:
        return (
            self.weights_licence
            if self.params.model == DEFAULT
            else f"not known here: see where {self.params.model} comes from"
        )

    def transform(self, inputs: Images, *, progress: Progress | None = None) -> np.ndarray:
        """n encoded pictures -> float32 [n, d]. Raises `BadInput` for what is no picture."""
        out = np.zeros((len(inputs), self.dim), np.float32)
        step = self.params.batch or (16 if self.device == "cpu" else 128)
        for start in range(0, len(out), step):
            images = [inputs[place] for place in range(start, min(start + step, len(out)))]
            out[start : start + step] = self._run(self._prepared.batch(images, start), bf16=self.bf16)
            if progress is not None:
                progress(start + len(images), len(out), self.name)
        return out

    def _find(self, *, download: bool = True) -> Path:
        return pretrained_images.find(self.params.model, download=download)

    def _probed(self, *, bf16: bool) -> np.ndarray:
        return self._run(pretrained_images.probes(self._prepared.size), bf16=bf16)

    @cached_property
    def _prepared(self) -> pretrained_images.Preparation:
        return pretrained_images.Preparation.read(self.folder)

    @cached_property
    def _model(self) -> Any:
        return pretrained_images.load(self.folder, self.params.model, self.device)

    def _run(self, pixels: np.ndarray, *, bf16: bool) -> np.ndarray:
        import torch

        with torch.inference_mode(), torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=bf16):
            rows = pretrained_images.embed(
                self._model, torch.from_numpy(pixels).to(self.device), mean=self.params.pool == "mean"
            ).float()
        rows = torch.nn.functional.normalize(rows, dim=1) if self.params.normalise else rows
        found: np.ndarray = rows.cpu().numpy()
        return found

"""`image-model`: pretrained image model of transformers or torchvision for album covers.

Source: ResNet (He et al. 2016), EfficientNet (Tan and Le 2019), ViT (Dosovitskiy et al. 2021), CLIP (Radford et al.
2021). The default model is microsoft/resnet-50 (its page on the hub). Images are prepared as for the published model,
with `preprocessor_config.json` or the transforms of the torchvision weights. Weights are not part of the project, and
each model has its own licence.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from toolkit.encoders.contract.encoder import EncoderParams, Images, Kind, Progress
from toolkit.encoders.contract.pretrained_encoder import PretrainedEncoder, PretrainedParams
from toolkit.encoders.image.pretrained_images import Preparation, TransformersModel, probes, width
from toolkit.encoders.image.torchvision_models import PREFIX, TorchvisionModel, TorchvisionPreparation
from toolkit.packages import IMAGE_TRANSFORMERS, PILLOW, Package

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT = "microsoft/resnet-50"
DEFAULT_DIM = 2048
"""Dimension of the default model, for lists of encoders without access to the hub."""


class ImageModelParams(PretrainedParams):
    """Parameters of `image-model`.

    - model: folder or hub name of a transformers model, or a torchvision name such as `torchvision:resnet50`.
    - pool: `auto` uses CLIP's image embedding, the pooled map of a convolutional network, or the class token of a
      transformer. `mean` averages over the patches of a transformer.
    - normalise: whether rows have unit norm.
    - batch: images per step. The default is 16 on the CPU and 128 on a GPU.
    """

    model: str = DEFAULT
    weights: str | None = Field(
        None, description="of a torchvision model: a name such as IMAGENET1K_V2, or a file; default: DEFAULT"
    )
    transforms: str | None = Field(
        None, description="of a torchvision model: weights by whose transforms images are prepared; default: its own"
    )
    pool: Literal["auto", "mean"] = "auto"
    normalise: bool = False
    batch: int | None = Field(None, ge=1)
    bf16: Literal["auto", "on", "off"] = "auto"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.model.startswith(PREFIX):
            if self.pool == "mean":
                raise ValueError(
                    f"pool=mean can be set only for a transformers model, but model={self.model} is not: remove pool"
                )
            return self
        for key in ("weights", "transforms"):
            if getattr(self, key) is not None:
                raise ValueError(
                    f"{key}={getattr(self, key)!r} can be set only for a torchvision model, such as "
                    f"`{PREFIX}resnet50`: remove {key}"
                )
        return self


class ImageModelEncoder(PretrainedEncoder):
    """Image encoder with a pretrained model, such as ResNet, ViT or CLIP, without fine-tuning.

    Takes n encoded pictures and returns float32 [n, d]. For a torchvision model, d is the size of the layer before the
    classifier.
    """

    name: ClassVar[str] = "image-model"
    kind: ClassVar[Kind] = "image"
    source: ClassVar[str] = "He et al. 2016; Tan and Le 2019; Dosovitskiy et al. 2021; Radford et al. 2021"
    weights_licence: ClassVar[str] = "Apache-2.0 (microsoft/resnet-50)"
    Params: ClassVar[type[EncoderParams]] = ImageModelParams
    requires: ClassVar[tuple[Package, ...]] = (IMAGE_TRANSFORMERS, PILLOW)
    params: ImageModelParams

    @cached_property
    def dim(self) -> int:
        if self.params.model == DEFAULT:
            return DEFAULT_DIM
        known = None if isinstance(self._model, TorchvisionModel) else width(self.folder)
        return known if known is not None else self._probed(bf16=False).shape[1]

    def licence(self) -> str:
        return self.weights_licence if self.params.model == DEFAULT else self._model.licence()

    def fingerprint(self) -> str:
        return f"{self._model.fingerprint(self.folder)} bf16={self._wants_bf16()}"

    def transform(self, inputs: Images, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for n encoded images. Raises `BadInput` for a file that is not an image."""
        size = self.params.batch or (16 if self.device == "cpu" else 128)
        return self._in_batches(
            inputs, size, lambda part: self._run(self._preparation.batch(part), bf16=self.bf16), progress
        )

    @cached_property
    def _model(self) -> TransformersModel | TorchvisionModel:
        params = self.params
        if params.model.startswith(PREFIX):
            name = params.model.removeprefix(PREFIX)
            return TorchvisionModel(name, params.weights or "DEFAULT", params.transforms or "")
        return TransformersModel(params.model, mean=params.pool == "mean")

    def _find(self, *, download: bool = True) -> Path:
        return self._model.find(download=download)

    def _probed(self, *, bf16: bool) -> np.ndarray:
        return self._run(probes(self._preparation.size), bf16=bf16)

    @cached_property
    def _preparation(self) -> Preparation | TorchvisionPreparation:
        return self._model.preparation(self.folder)

    @cached_property
    def _network(self) -> Callable[[Tensor], Tensor]:
        return self._model.network(self.folder, self.device)

    def _run(self, pixels: np.ndarray, *, bf16: bool) -> np.ndarray:
        import torch

        with torch.inference_mode(), torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=bf16):
            rows = self._network(torch.from_numpy(pixels).to(self.device)).float()
        rows = torch.nn.functional.normalize(rows, dim=1) if self.params.normalise else rows
        vectors: np.ndarray = rows.cpu().numpy()
        return vectors

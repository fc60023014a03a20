"""Pretrained image models of transformers, with the preparation of images and the choice of the output vector."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from toolkit.encoders.contract import model_hub
from toolkit.encoders.image.pixels import rgb, table_of
from toolkit.errors import InputError, first_line

if TYPE_CHECKING:
    from torch import Tensor

BILINEAR, BICUBIC = 2, 3
"""Pillow's numbers, which `preprocessor_config.json` uses."""

WARPED_FROM = 384
"""Side from which ConvNeXt's preparation, which ResNet's models share, stretches images instead of cropping them."""


@dataclass(frozen=True)
class Preparation:
    """Image preparation from `preprocessor_config.json`, with resize, centre crop, rescaling and normalisation.

    - shortest: length of the shorter side after resizing. With None, images are resized to `height` and `width`.
    - crop: height and width of the crop, or None without a crop.
    """

    shortest: int | None
    height: int
    width: int
    crop: tuple[int, int] | None
    resample: int
    scale: float
    offset: float
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the preparation of a model folder. Raises `InputError` if the file is missing or invalid."""
        path = folder / "preprocessor_config.json"
        try:
            return cls.of(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} must describe how pictures are prepared ({error!r}): save the model's image processor"
            ) from None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """Create a preparation from the settings in the file. Missing settings have the defaults of transformers."""
        kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
        if not config.get("do_resize", True):
            raise ValueError("do_resize must be true because pictures differ in size")
        size, cropped = config["size"], bool(config.get("do_center_crop", kind.startswith("CLIP")))
        whole = {"shortest_edge": size} if isinstance(size, int) and (cropped or "crop_pct" in config) else size
        sides = {"height": whole, "width": whole} if isinstance(whole, int) else whole
        shortest, crop = sides.get("shortest_edge"), _sides(config["crop_size"]) if cropped else None
        if kind.startswith("ConvNext") or "crop_pct" in config:
            edge = int(shortest or sides["height"])
            if edge < WARPED_FROM:
                shortest, crop = int(edge / (config.get("crop_pct") or 224 / 256)), (edge, edge)
            else:
                shortest, sides = None, {"height": edge, "width": edge}
        height, width = (shortest, shortest) if shortest else (int(sides["height"]), int(sides["width"]))
        mean, deviation = np.zeros(3), np.ones(3)
        if config.get("do_normalize", True):
            mean, deviation = np.asarray(config["image_mean"], np.float64), np.asarray(config["image_std"], np.float64)
        if config.get("include_top", kind.startswith("EfficientNet")):
            # a second time, as these were published
            deviation = deviation * np.asarray(config["image_std"], np.float64)
        scale = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0
        default = BILINEAR if kind.startswith("ViT") else BICUBIC
        offset = 1.0 if config.get("rescale_offset") else 0.0
        return cls(
            shortest, height, width, crop, int(config.get("resample", default)), float(scale), offset, mean, deviation
        )

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of the model inputs."""
        return self.crop or (self.height, self.width)

    def cropped(self, image: bytes, index: int = 0) -> np.ndarray:
        """Resize and crop one encoded image to uint8 [height, width, 3]. Raises `BadInput` at `index`."""
        from PIL import Image

        # twice the side of the result: after the resize, a JPEG that was decoded at a fraction looks the same
        picture = rgb(image, least=2 * max(self.height, self.width), index=index)
        width, height = picture.size
        if self.shortest:
            longer = int(self.shortest * max(width, height) / min(width, height))
            target = (self.shortest, longer) if width <= height else (longer, self.shortest)
        else:
            target = (self.width, self.height)
        picture = picture.resize(target, Image.Resampling(self.resample))
        if self.crop:
            top, left = (target[1] - self.crop[0]) // 2, (target[0] - self.crop[1]) // 2
            picture = picture.crop((left, top, left + self.crop[1], top + self.crop[0]))
        return np.asarray(picture, np.uint8)

    def normalised(self, table: np.ndarray) -> np.ndarray:
        """Convert uint8 [n, height, width, 3] to float32 [n, 3, height, width] in the scale of the model."""
        values = np.asarray(table, np.float64) * self.scale - self.offset
        return np.ascontiguousarray(((values - self.mean) / self.deviation).transpose(0, 3, 1, 2), np.float32)

    def batch(self, images: Sequence[bytes]) -> np.ndarray:
        """Return images as float32 [n, 3, height, width]."""
        return self.normalised(table_of(images, self.size, self.cropped))


def _sides(size: Any) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size["height"]), int(size["width"]))


@dataclass(frozen=True)
class TransformersModel:
    """Image model of transformers.

    - model: folder or hub name.
    - mean: whether the vector of a transformer is the mean over its patches instead of its class token.
    """

    model: str
    mean: bool = False

    def find(self, *, download: bool = True) -> Path:
        """Return the folder of the model files. Raises `InputError` or `MissingWeights`."""
        return model_hub.find(self.model, "image", download=download)

    def fingerprint(self, folder: Path) -> str:
        """Return a hash of everything that determines the vectors."""
        return model_hub.fingerprint(folder)

    def licence(self) -> str:
        """Return the licence of the weights, if known."""
        return model_hub.unknown_licence(self.model)

    def preparation(self, folder: Path) -> Preparation:
        """Return the preparation of images."""
        return Preparation.read(folder)

    def network(self, folder: Path, device: str) -> Callable[[Tensor], Tensor]:
        """Return a function from images, float32 [n, 3, height, width], to vectors [n, d]. Raises `InputError`."""
        loaded = load(folder, self.model, device)
        return lambda pixels: embed(loaded, pixels, mean=self.mean)


def load(folder: Path, model: str, device: str) -> Any:
    """Load the model in evaluation mode from safetensors only. Raises `InputError` if weights are missing."""
    from safetensors import SafetensorError
    from transformers import AutoModel

    with model_hub.quiet():
        try:
            loaded, info = AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise InputError(
                f"model={model!r} at {folder} cannot be loaded as a picture model ({first_line(error)}): save the "
                "model again"
            ) from None
    # a ViT's pooler is often not published, and is not used here
    missing = sorted(name for name in info["missing_keys"] if "pooler" not in name)
    if missing:
        raise InputError(
            f"model={model!r} at {folder} must have all weights but {', '.join(missing[:3])}, … are missing: "
            "save the model with save_pretrained"
        )
    return loaded.to(device).eval()


def embed(model: Any, pixels: Tensor, *, mean: bool = False) -> Tensor:
    """Return vectors [n, d] for images [n, 3, h, w].

    The vector of a CLIP-like model is the image embedding that is compared with texts. For a convolutional network, the
    vector is the pooled last map. For a transformer, the vector is the class token, or with `mean` the mean over the
    patches.
    """
    if hasattr(model, "get_image_features"):
        features = model.get_image_features(pixel_values=pixels)
        return features if hasattr(features, "ndim") else features.pooler_output
    output = model(pixel_values=pixels)
    if output.last_hidden_state.ndim == 4:
        return output.pooler_output.flatten(1)
    return output.last_hidden_state[:, 1:].mean(dim=1) if mean else output.last_hidden_state[:, 0]


def output(model: Any, size: tuple[int, int]) -> int:
    """Return the dimension of a loaded model by running it on one image."""
    import torch

    with torch.inference_mode():
        return int(embed(model, torch.from_numpy(probes(size)[:1]).to(model.device)).shape[1])


def width(folder: Path) -> int | None:
    """Return the dimension from the model configuration, without loading the model, or None if it is not stated."""
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    kind = config.get("model_type")
    if kind in ("resnet", "convnext", "regnet"):
        return int(config["hidden_sizes"][-1])
    keys = {"clip": "projection_dim", "efficientnet": "hidden_dim"}
    keys |= dict.fromkeys(("vit", "deit", "dinov2"), "hidden_size")
    size = config.get(keys.get(str(kind), ""))
    return size if isinstance(size, int) else None


def probes(size: tuple[int, int]) -> np.ndarray:
    """Return three built-in images for comparing half and full precision, float32 [3, 3, height, width]."""
    rows, columns = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]), indexing="ij")
    waves = [
        np.sin(2 * math.pi * (a * rows + b * columns))
        for a, b in ((1, 2), (5, 0), (3, 7), (0, 1), (9, 4), (2, 2), (1, 0), (0, 6), (4, 4))
    ]
    return np.stack(waves).reshape(3, 3, *size).astype(np.float32)

"""Pretrained picture models of transformers: where they are, how their pictures are prepared, and what of them is taken."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.encoders.image.pixels import rgb, table_of
from toolkit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

BILINEAR, BICUBIC = 2, 3
"""Pillow's numbers, which `preprocessor_config.json` uses."""

WARPED_FROM = 384
"""From this side on ConvNeXt's preparation, which ResNet's models share, stretches instead of cropping."""


@dataclass(frozen=True)
class Preparation:
    """`preprocessor_config.json` of a picture model: resize, centre crop, rescale, normalise.

    shortest: side that the shorter edge is resized to, else height and width. crop: height and width, None for no crop.
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
        """Read what the model was published with. Raises `InputError` where it is missing or not understood."""
        path = folder / "preprocessor_config.json"
        try:
            return cls.of(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} does not say how pictures are prepared ({error!r}): save the model's image processor beside it"
            ) from None

    @classmethod
    def of(cls, config: dict[str, Any]) -> Self:
        """From the values of the file; what it leaves out is as transformers has it for the same kind of processor."""
        kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
        if not config.get("do_resize", True):
            raise ValueError("do_resize is false, and pictures come in all sizes")
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
            deviation = deviation * np.asarray(
                config["image_std"], np.float64
            )  # a second time, as these were published
        scale = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0
        default = BILINEAR if kind.startswith("ViT") else BICUBIC
        offset = 1.0 if config.get("rescale_offset") else 0.0
        return cls(
            shortest, height, width, crop, int(config.get("resample", default)), float(scale), offset, mean, deviation
        )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the model gets."""
        return self.crop or (self.height, self.width)

    def cropped(self, image: bytes, index: int = 0) -> np.ndarray:
        """One encoded picture resized and cropped: uint8 [height, width, 3]. Raises `BadInput` at `index`."""
        from PIL import Image

        # twice the side that is asked for: what a JPEG loses by decoding at a fraction is not seen after the resize
        picture = rgb(image, least=2 * max(self.height, self.width), index=index)
        width, height = picture.size
        if self.shortest:
            short, long = min(width, height), max(width, height)
            if long > 200 * short:
                raise BadInput(
                    index,
                    f"has a picture of {width} x {height}, which is not a cover: its sides must differ by less than 200 times",
                )
            longer = int(self.shortest * long / short)
            target = (self.shortest, longer) if width <= height else (longer, self.shortest)
        else:
            target = (self.width, self.height)
        picture = picture.resize(target, Image.Resampling(self.resample))
        if self.crop:
            top, left = (target[1] - self.crop[0]) // 2, (target[0] - self.crop[1]) // 2
            picture = picture.crop((left, top, left + self.crop[1], top + self.crop[0]))
        return np.asarray(picture, np.uint8)

    def normalised(self, table: np.ndarray) -> np.ndarray:
        """uint8 [n, height, width, 3] as the model wants it: float32 [n, 3, height, width]."""
        values = np.asarray(table, np.float64) * self.scale - self.offset
        return np.ascontiguousarray(((values - self.mean) / self.deviation).transpose(0, 3, 1, 2), np.float32)

    def batch(self, images: Any, start: int = 0) -> np.ndarray:
        """Pictures as float32 [n, 3, height, width]; the first is number `start` in messages."""
        return self.normalised(table_of(images, self.size, lambda image, row: self.cropped(image, start + row)))


def _sides(size: Any) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size["height"]), int(size["width"]))


def find(model: str, *, download: bool = True) -> Path:
    """The folder of a picture model: a path or a hub name such as microsoft/resnet-50. Raises `InputError`."""
    cure = "give the folder of a transformers model with config.json, preprocessor_config.json and *.safetensors"
    return model_hub.find(model, download=download, cure=cure, owner="")


def load(folder: Path, model: str, device: str) -> Any:
    """The model in evaluation mode, weights from safetensors alone. Raises `InputError` where some are missing."""
    from safetensors import SafetensorError
    from transformers import AutoModel

    with quiet():
        try:
            made, info = AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            raise InputError(f"model={model!r} at {folder} does not load as a picture model: {reason}") from None
    # a ViT's pooler is often not published, and is not read here
    missing = sorted(name for name in info["missing_keys"] if "pooler" not in name)
    if missing:
        raise InputError(
            f"model={model!r} at {folder} lacks weights ({', '.join(missing[:3])}, …): save it whole with save_pretrained"
        )
    return made.to(device).eval()


@contextmanager
def quiet() -> Iterator[None]:
    """Transformers without its progress bars and advice."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def embed(model: Any, pixels: Tensor, *, mean: bool = False) -> Tensor:
    """Pictures [n, 3, h, w] as vectors [n, d].

    CLIP and its kin: the image embedding that is compared with texts. Convolutional networks: the pooled last map.
    Transformers: the class token, or with `mean` the mean over the patches.
    """
    if hasattr(model, "get_image_features"):
        found = model.get_image_features(pixel_values=pixels)
        return found if hasattr(found, "ndim") else found.pooler_output
    out = model(pixel_values=pixels)
    if out.last_hidden_state.ndim == 4:
        return out.pooler_output.flatten(1)
    return out.last_hidden_state[:, 1:].mean(dim=1) if mean else out.last_hidden_state[:, 0]


def output(model: Any, size: tuple[int, int]) -> int:
    """d of a loaded model, found by running it on one picture."""
    import torch

    with torch.inference_mode():
        return int(embed(model, torch.from_numpy(probes(size)[:1]).to(model.device)).shape[1])


def width(folder: Path) -> int | None:
    """d as the model's configuration says, without loading it; None where it does not."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    named = {
        "clip": "projection_dim",
        "efficientnet": "hidden_dim",
        "vit": "hidden_size",
        "deit": "hidden_size",
        "dinov2": "hidden_size",
    }
    found = config.get(named.get(config.get("model_type"), ""))
    if config.get("model_type") in ("resnet", "convnext", "regnet"):
        found = config["hidden_sizes"][-1]
    return found if isinstance(found, int) else None


def probes(size: tuple[int, int]) -> np.ndarray:
    """Three pictures of the project's own, on which half precision is judged: float32 [3, 3, height, width]."""
    rows, columns = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]), indexing="ij")
    waves = [
        np.sin(2 * math.pi * (a * rows + b * columns))
        for a, b in ((1, 2), (5, 0), (3, 7), (0, 1), (9, 4), (2, 2), (1, 0), (0, 6), (4, 4))
    ]
    return np.stack(waves).reshape(3, 3, *size).astype(np.float32)

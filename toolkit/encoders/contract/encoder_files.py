"""Encoder files in safetensors and JSON, never pickle, written atomically."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from toolkit import interrupts
from toolkit.contracts.learning import Learning
from toolkit.encoders.contract.encoder import Encoder, Tensors
from toolkit.errors import DataError
from toolkit.files import write_bytes
from toolkit.recipe.redaction import without_secrets

E = TypeVar("E", bound=Encoder)


def write_tensors(path: Path, tensors: Tensors, header: Mapping[str, object]) -> None:
    """Write a safetensors file atomically. Its metadata contains `header` and a checksum of the tensors as JSON."""
    from safetensors.numpy import save

    solid = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    # one key only: safetensors writes several in random order, and equal content should give equal bytes
    about = json.dumps({"header": header, "blake2b": checksum(solid)}, sort_keys=True)
    write_bytes(path, save(solid, metadata={"segue": about}))


def read_tensors(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read the tensors and the header from a file written by `write_tensors`.

    Raises `DataError` if the file is missing, truncated or changed.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["segue"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        header, expected = about["header"], about["blake2b"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        interrupts.raise_if_interrupted()
        raise DataError(f"{path} cannot be read ({error}): restore or recompute the file") from None
    if expected != checksum(tensors):
        raise DataError(f"{path} is damaged because its checksum does not match: restore or recompute the file")
    return tensors, header


def checksum(tensors: Tensors) -> str:
    """Return the BLAKE2b digest of names, dtypes, shapes and contents."""
    hasher = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        value = np.asarray(tensors[name], order="C")
        hasher.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        hasher.update(value.reshape(-1).view(np.uint8).data)
    return hasher.hexdigest()


def save_encoder(encoder: Encoder, directory: Path, tensors: Tensors | None = None, **extra: object) -> None:
    """Write `encoder.safetensors`, then `encoder.json` with name, version, parameters, seed and `extra`."""
    if tensors is not None:
        write_tensors(directory / "encoder.safetensors", tensors, {"encoder": encoder.name})
    about = {
        "encoder": encoder.name,
        "version": encoder.version,
        "params": without_secrets(encoder.params.model_dump(mode="json")),
        "seed": encoder.seed,
        "fitted": tensors is not None,
        **({"learning": encoder.learning.to_json()} if encoder.learning is not None and tensors is not None else {}),
        **extra,
    }
    write_bytes(directory / "encoder.json", (json.dumps(about, indent=1, sort_keys=True) + "\n").encode())


def load_encoder(cls: type[E], directory: Path, *, device: str) -> tuple[E, Tensors | None, dict[str, Any]]:
    """Create an encoder from the parameters in `directory`, without its fitted state.

    Returns the encoder, its tensors (None if it was not fitted), and the content of `encoder.json`. Raises `DataError`
    if the folder belongs to another encoder or is damaged.
    """
    path = directory / "encoder.json"
    try:
        about = json.loads(path.read_text())
        saved = (about["encoder"], about["version"])
        params, seed = cls.Params.model_validate(about["params"]), int(about["seed"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise DataError(f"{path} is not a saved encoder ({error}): pass a folder written by `save`") from None
    if saved != (cls.name, cls.version):
        raise DataError(
            f"{path} holds encoder {saved[0]!r} version {saved[1]} but must hold {cls.name!r} version {cls.version}: "
            "fit the encoder again"
        )
    tensors = read_tensors(directory / "encoder.safetensors")[0] if about.get("fitted") else None
    encoder = cls(params, seed=seed, device=device)
    if "learning" in about:
        encoder.learning = Learning.from_json(about["learning"])
    return encoder, tensors, about

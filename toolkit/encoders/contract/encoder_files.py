"""Encoder files in safetensors and JSON, never pickle, written atomically."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from toolkit import interrupts
from toolkit.contracts.learning import Learning
from toolkit.contracts.saved_arrays import finite
from toolkit.encoders.contract.encoder import Encoder, Tensors
from toolkit.encoders.contract.tensor_file import read_file
from toolkit.errors import UNREADABLE, DataError, first_line
from toolkit.files import parsed_json, replacing, write_bytes
from toolkit.recipe.redaction import without_secrets

E = TypeVar("E", bound=Encoder)


def write_tensors(path: Path, tensors: Tensors, header: Mapping[str, object]) -> None:
    """Write a safetensors file atomically. Its metadata contains `header` and a checksum of the tensors as JSON.

    The tensors are written from where they are: no copy of the file is in memory.
    """
    from safetensors.numpy import save_file

    solid = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    # one key only: safetensors writes several in random order, and equal content should give equal bytes
    about = json.dumps({"header": header, "blake2b": checksum(solid)}, sort_keys=True)
    with replacing(path) as unfinished:
        save_file(solid, unfinished, metadata={"segue": about})


def read_tensors(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read the tensors and the header from a file written by `write_tensors`.

    Raises `DataError` if the file is missing, truncated or changed.
    """
    try:
        file = read_file(path)
        about = json.loads(file.metadata["segue"])
        header, expected = about["header"], about["blake2b"]
        tensors = file.arrays
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        interrupts.raise_if_interrupted()
        raise DataError(f"{path} cannot be read ({first_line(error)}): restore or recompute the file") from None
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
        about = parsed_json(path)
        saved = (about["encoder"], about["version"])
        params, seed = cls.Params.model_validate(about["params"]), int(about["seed"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(
            f"{path} is not a saved encoder ({first_line(error)}): pass a folder written by `save`"
        ) from None
    if saved != (cls.name, cls.version):
        raise DataError(
            f"{path} holds encoder {saved[0]!r} version {saved[1]} but must hold {cls.name!r} version {cls.version}: "
            "fit the encoder again"
        )
    tensors = read_tensors(directory / "encoder.safetensors")[0] if about.get("fitted") else None
    if odd := [name for name, array in (tensors or {}).items() if not finite(array)]:
        raise DataError(f"{path.parent} must have finite values in {odd[0]}: fit the encoder again")
    encoder = cls(params, seed=seed, device=device)
    if "learning" in about:
        try:
            encoder.learning = Learning.from_json(about["learning"])
        except UNREADABLE as error:
            raise DataError(f"{path} has no record of a training ({error}): fit the encoder again") from None
    return encoder, tensors, about

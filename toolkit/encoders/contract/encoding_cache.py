"""Embeddings already made, by a hash of everything that decides them.

An entry is one safetensors file, `matrix` [n, d], `present` [n], the ids as
UTF-8 bytes and offsets, beside it the fitted encoder where it learns. Entries
are written whole or not at all; a damaged one is made again, never trusted.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.encoders.contract.content_hash import combined, string_bytes
from toolkit.encoders.contract.encoder import Encoder
from toolkit.encoders.contract.encoder_files import read_tensors, write_tensors
from toolkit.errors import DataError
from toolkit.source_code import source_of


@dataclass(frozen=True)
class Tracks:
    """Which tracks an entry is about.

    ids: n track ids. present: bool [n]. marks: uint8 [present, 16], digests of the inputs there are.
    fitted: bool [n], tracks to learn from. targets: float32 [n, t] for supervised encoders.
    """

    ids: Sequence[str]
    present: np.ndarray
    marks: np.ndarray
    fitted: np.ndarray
    targets: np.ndarray | None = None

    def check(self, tensors: dict[str, np.ndarray]) -> np.ndarray:
        """The matrix of an entry that is about these tracks. Raises `DataError` for any other."""
        matrix, present = tensors.get("matrix"), tensors.get("present")
        if (
            matrix is None
            or present is None
            or matrix.ndim != 2
            or len(matrix) != len(self.ids)
            or matrix.dtype != np.float32
        ):
            raise DataError("its matrix is not float32 [n, d] over these tracks")
        if not np.array_equal(present, self.present):
            raise DataError("its present rows are others")
        text, offsets = string_bytes(self.ids)
        none = np.zeros(0)
        if not (
            np.array_equal(tensors.get("ids", none), text) and np.array_equal(tensors.get("id_offsets", none), offsets)
        ):
            raise DataError("its track ids are others")
        return matrix


def key(encoder: Encoder, tracks: Tracks, *, split_key: str = "") -> str:
    """Cache key: 32 hex digits over encoder, version, parameters, weights, ids and input content.

    Of a class that has no entry point the source file counts too: who tries an idea does not think of `version`.

    The seed counts where it changes the output; fitted ids, targets and
    `split_key` where the encoder learns.
    """
    about: dict[str, Any] = {
        "encoder": encoder.name,
        "version": encoder.version,
        "params": encoder.params.model_dump(mode="json"),
    }
    about |= {"weights": encoder.fingerprint(), "seed": encoder.seed if encoder.seeded else None}
    about |= source_of("segue.encoders", type(encoder), encoder.name)
    text, offsets = string_bytes(tracks.ids)
    parts = [
        json.dumps(about, sort_keys=True).encode(),
        text.tobytes(),
        offsets.tobytes(),
        tracks.present.tobytes(),
        tracks.marks.tobytes(),
    ]
    if encoder.learns:
        targets = tracks.targets
        parts += [tracks.fitted.tobytes(), split_key.encode()]
        parts += [
            b""
            if targets is None
            else repr(targets.shape).encode() + np.ascontiguousarray(targets, np.float32).tobytes()
        ]
    return combined(*parts)


@dataclass(frozen=True)
class EncodingCache:
    """A folder of entries."""

    directory: Path

    def entry(self, key: str) -> Path:
        return self.directory / f"{key}.safetensors"

    def encoder(self, key: str) -> Path:
        """Folder of the fitted encoder that made the entry."""
        return self.directory / f"{key}.encoder"

    def load(self, key: str, encoder: Encoder, tracks: Tracks) -> tuple[np.ndarray, np.ndarray] | None:
        """The entry's matrix float32 [n, d] and short clips bool [n], or None where there is none; `encoder` comes back fitted.

        Warns of a damaged entry, which is then made again.
        """
        if not self.entry(key).is_file():
            return None
        try:
            tensors = read_tensors(self.entry(key))[0]
            matrix = tracks.check(tensors)
            if encoder.learns:
                restore(encoder, self.encoder(key))
        except DataError as error:
            warnings.warn(
                f"cached encoding {self.entry(key).name} is made again: {error}", RuntimeWarning, stacklevel=2
            )
            return None
        return matrix, tensors.get("short", np.zeros(len(matrix), bool))

    def store(self, key: str, encoder: Encoder, tracks: Tracks, matrix: np.ndarray, short: np.ndarray) -> None:
        """Write an entry; the encoder first, so that an entry never stands without it."""
        if encoder.learns:
            encoder.save(self.encoder(key))
        text, offsets = string_bytes(tracks.ids)
        tensors = {"matrix": matrix, "present": tracks.present, "short": short, "ids": text, "id_offsets": offsets}
        write_tensors(self.entry(key), tensors, {"encoder": encoder.name, "version": encoder.version, "key": key})


def restore(encoder: Encoder, directory: Path) -> None:
    """Give `encoder` the fitted state saved in `directory`. Raises `DataError` where there is none to trust."""
    saved = vars(type(encoder).load(directory, device=encoder.device))
    vars(encoder).update({name: value for name, value in saved.items() if name not in ("params", "seed", "device")})

"""Cache of encodings, keyed by a hash of everything that determines the encoding.

An entry is a safetensors file with `matrix` [n, d], `present` [n], `short` [n], and the ids as UTF-8 bytes and offsets.
The fitted encoder is stored next to the entry. Entries are written atomically, and damaged entries are recomputed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit import devices
from toolkit.encoders.contract.content_hash import combined, files_digest, string_bytes
from toolkit.encoders.contract.encoder import Encoder, Tensors
from toolkit.encoders.contract.encoder_files import read_tensors, write_tensors
from toolkit.errors import DataError, InputError
from toolkit.files import parsed_json, write_bytes
from toolkit.modality import EncodingCost
from toolkit.source_code import library_versions, source_of

if TYPE_CHECKING:
    from toolkit.encoders.learning.weighted_prediction_error import Feedback


@dataclass(frozen=True)
class Tracks:
    """Tracks of a cache entry.

    - ids: n track ids.
    - present: bool [n], the tracks that have an input.
    - digests: uint8 [present, 16], digests of these inputs.
    - fitted: bool [n], the training tracks of the encoder.
    - targets: float32 [n, t], for a supervised encoder.
    - feedback: interactions of the tracks, for an encoder that is fitted to them.
    """

    ids: Sequence[str]
    present: np.ndarray
    digests: np.ndarray
    fitted: np.ndarray
    targets: np.ndarray | None = None
    feedback: Feedback | None = None

    def check(self, tensors: Tensors) -> np.ndarray:
        """Return the matrix of an entry. Raises `DataError` if the entry belongs to other tracks."""
        none = np.zeros(0)
        matrix, (text, offsets) = tensors.get("matrix", none), string_bytes(self.ids)
        if matrix.ndim != 2 or len(matrix) != len(self.ids) or matrix.dtype != np.float32 or "present" not in tensors:
            raise DataError("the matrix must be float32 with one row per track")
        if not np.array_equal(tensors["present"], self.present):
            raise DataError("the tracks with an input have changed")
        if not (
            np.array_equal(tensors.get("ids", none), text) and np.array_equal(tensors.get("id_offsets", none), offsets)
        ):
            raise DataError("the track ids have changed")
        return matrix


def key(encoder: Encoder, tracks: Tracks) -> str:
    """Return the cache key, 32 hex digits over encoder, version, parameters, weights, ids and inputs.

    The key includes the seed if the seed changes the output, and the fitted ids, targets and feedback if the encoder
    requires fitting. The key also includes the source of a class of another package, because its author may change the
    class without a new `version`. What else decides the last digits is included too: the kind of the device, the
    versions of libraries and, for an encoder that is fitted, the number of threads. A frozen model is not
    encoded again for another number of threads, which changes the last digits at most.
    """
    about = {
        "encoder": encoder.name,
        "version": encoder.version,
        "params": encoder.params.model_dump(mode="json"),
        "weights": encoder.fingerprint(),
        "seed": encoder.seed if encoder.seeded else None,
        "device": encoder.device.partition(":")[0],
        "threads": devices.threads() if encoder.needs_fit else None,
        "libraries": library_versions(*(package.distribution for package in encoder.requires)),
        **source_of("segue.encoders", type(encoder), encoder.name),
    }
    arrays = [*string_bytes(tracks.ids), tracks.present, tracks.digests]
    if encoder.needs_fit:
        arrays.append(tracks.fitted)
        if tracks.targets is not None:
            arrays += [np.array(tracks.targets.shape), np.ascontiguousarray(tracks.targets, np.float32)]
    parts = [json.dumps(about, sort_keys=True).encode(), *(array.tobytes() for array in arrays)]
    if encoder.needs_feedback and tracks.feedback is not None:
        parts.append(tracks.feedback.identity())
    return combined(*parts)


@dataclass(frozen=True)
class EncodingCache:
    """Folder of cache entries."""

    directory: Path

    def entry(self, key: str) -> Path:
        return self.directory / f"{key}.safetensors"

    def encoder(self, key: str) -> Path:
        """Return the folder of the fitted encoder that computed the entry."""
        return self.directory / f"{key}.encoder"

    def load(self, key: str, encoder: Encoder, tracks: Tracks) -> tuple[np.ndarray, np.ndarray] | None:
        """Load an entry and restore the fitted state of `encoder`.

        Returns the matrix float32 [n, d] and the marks of its inputs, uint8 [n]. Returns None if the entry is
        missing, or if it is damaged, with a warning.
        """
        if not self.entry(key).is_file():
            return None
        try:
            tensors = read_tensors(self.entry(key))[0]
            matrix = tracks.check(tensors)
            if encoder.needs_fit:
                if not self._is_whole(key):
                    raise DataError(f"{self.encoder(key)} is damaged or from another encoding")
                restore(encoder, self.encoder(key))
        except InputError as error:
            warnings.warn(
                f"cached encoding {self.entry(key).name} is recomputed: {error}", RuntimeWarning, stacklevel=2
            )
            return None
        return matrix, tensors.get("marks", np.zeros(len(matrix), np.uint8))

    def cost(self, key: str) -> EncodingCost | None:
        """Return the cost of an entry when it was computed, or None for an entry without a readable one."""
        try:
            seconds = parsed_json(self._seconds(key))
            return EncodingCost(float(seconds["fit_seconds"]), float(seconds["encode_seconds"]), cached=True)
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None

    def store(
        self,
        key: str,
        encoder: Encoder,
        tracks: Tracks,
        matrix: np.ndarray,
        marks: np.ndarray,
        cost: EncodingCost | None = None,
    ) -> None:
        """Write the fitted encoder, then the entry. An entry therefore always has its encoder."""
        if encoder.needs_fit:
            encoder.save(self.encoder(key))
            # not in the entry, whose bytes do not depend on the seconds of a fit
            write_bytes(self._checksum(key), self._fitted(key).encode())
        if cost is not None:
            seconds = {"fit_seconds": cost.fit_seconds, "encode_seconds": cost.encode_seconds}
            write_bytes(self._seconds(key), json.dumps(seconds).encode())
        text, offsets = string_bytes(tracks.ids)
        tensors = {"matrix": matrix, "present": tracks.present, "marks": marks, "ids": text, "id_offsets": offsets}
        write_tensors(self.entry(key), tensors, {"encoder": encoder.name, "version": encoder.version, "key": key})

    def _seconds(self, key: str) -> Path:
        return self.directory / f"{key}.seconds.json"

    def _checksum(self, key: str) -> Path:
        return self.directory / f"{key}.blake2b"

    def _is_whole(self, key: str) -> bool:
        """Return whether the files of the fitted encoder are those that were written."""
        path = self._checksum(key)
        return path.is_file() and path.read_bytes() == self._fitted(key).encode()

    def _fitted(self, key: str) -> str:
        """Return a hash of the files of the fitted encoder."""
        return files_digest(sorted(path for path in self.encoder(key).rglob("*") if path.is_file()))


def restore(encoder: Encoder, directory: Path) -> None:
    """Restore the fitted state of `encoder` from `directory`. Raises `DataError` if the state is missing or damaged."""
    saved = vars(type(encoder).load(directory, device=encoder.device))
    vars(encoder).update({name: value for name, value in saved.items() if name not in ("params", "seed", "device")})

"""`vectors`: vectors that were made elsewhere, from a file, as a modality like any other.

    encoders:
      mine: {encoder: vectors, params: {file: mine.npz}}

Its inputs are the tracks' ids: a track that the file does not name is absent. An id may stand there with its scheme or without.
Source: the file; nothing is known of how its vectors were made. No pretrained weights.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.encoder import Encoder, EncoderParams, Kind, Progress
from toolkit.encoders.contract.encoder_files import load_encoder, save_encoder
from toolkit.encoders.features.matrix_files import Named, form, read
from toolkit.errors import InputError


class VectorsParams(EncoderParams):
    """Where the vectors are. A relative path starts at the current folder, as those of other encoders do."""

    file: Path = Field(description="`.npz`, `.npy`, `.parquet`, `.safetensors`, `.csv` or `.tsv`: ids and vectors")
    ids: Path | None = Field(
        None, description="the ids, where `file` does not hold them: `.npy`, `.json`, or text with one a line"
    )
    id: str | None = Field(None, description="column or array of ids; default: ids, id or track_id")
    columns: list[str] = Field(
        [],
        description="columns of numbers, or the one column or array of vectors; default: matrix, vectors or embeddings, else every column"
        " of numbers",
    )


class VectorsEncoder(Encoder):
    """Reads precomputed vectors from a file, by track id.

    Takes n ids and returns float32 [n, d]. The row of an id that is not in the file is NaN.
    """

    name: ClassVar[str] = "vectors"
    kind: ClassVar[Kind] = "category"
    refuses: ClassVar[bool] = True
    refusal: ClassVar[tuple[str, str, str]] = (
        "has a vector in the file",
        "that is not in the file of vectors",
        "are its ids those of the catalogue, such as local:7 or spotify:track:…?",
    )
    seeded: ClassVar[bool] = False
    default_field: ClassVar[str | None] = "id"
    source: ClassVar[str] = "a file of vectors made elsewhere"
    Params: ClassVar[type[EncoderParams]] = VectorsParams
    params: VectorsParams

    @cached_property
    def _read(self) -> tuple[dict[str, int], np.ndarray]:
        """Row of each id, and the vectors. Raises `InputError`, `DataError`."""
        ids, matrix = read(self._named)
        return {each: row for row, each in enumerate(ids)}, matrix

    @property
    def _named(self) -> Named:
        params = self.params
        return Named(params.file.expanduser(), params.ids and params.ids.expanduser(), params.id, tuple(params.columns))

    def check_files(self) -> None:
        form(self._named)

    @property
    def dim(self) -> int:
        return int(self._read[1].shape[1])

    def fingerprint(self) -> str:
        """Hash of the files' content: a changed file is encoded again."""
        hasher = hashlib.blake2b(digest_size=16)
        for path in (self.params.file, self.params.ids):
            if path is not None:
                hasher.update(_digest(path.expanduser()))
        return hasher.hexdigest()

    def licence(self) -> str:
        return f"not known here: see where {self.params.file} comes from"

    def transform(self, inputs: Any, *, progress: Progress | None = None) -> np.ndarray:
        """n ids -> float32 [n, d]."""
        row_of, matrix = self._read
        rows = np.array([self._row(row_of, each) for each in inputs], np.int64)
        found = np.full((len(rows), matrix.shape[1]), np.nan, np.float32)
        found[rows >= 0] = matrix[rows[rows >= 0]]
        if progress is not None:
            progress(len(rows), len(rows), self.name)
        return found

    @staticmethod
    def _row(row_of: dict[str, int], track: Any) -> int:
        """Row of an id as it stands, or without its scheme, or with the default one; -1 where there is none."""
        if not isinstance(track, str):
            return -1
        scheme, _, bare = track.partition(":")
        if (row := row_of.get(track)) is not None:
            return row
        if bare and (row := row_of.get(bare)) is not None:
            return row
        if scheme == "spotify" and (row := row_of.get(track.rpartition(":")[2])) is not None:
            return row
        return row_of.get(f"local:{track}", -1)

    def save(self, directory: Path) -> None:
        save_encoder(self, directory)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        return load_encoder(cls, directory, device=device)[0]


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}: give a file of vectors") from None

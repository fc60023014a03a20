"""`vectors`: precomputed vectors from a file, used as a modality.

    encoders:
      mine: {encoder: vectors, params: {file: mine.npz}}

The inputs are track ids. A track that is not in the file is absent. The ids in the file may include their scheme.
Source: the file. No pretrained weights.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.content_hash import files_digest
from toolkit.encoders.contract.encoder import Encoder, EncoderParams, FailureText, Kind, Progress, Texts
from toolkit.encoders.contract.model_hub import unknown_licence
from toolkit.encoders.features.vector_files import VectorSource, file_format, read
from toolkit.files import changed_while_read


class VectorsParams(EncoderParams):
    """Location of the vectors. Relative paths start at the current folder, as for other encoders."""

    file: Path = Field(description="`.npz`, `.npy`, `.parquet`, `.safetensors`, `.csv` or `.tsv`: ids and vectors")
    ids: Path | None = Field(
        None, description="the ids, where `file` does not hold them: `.npy`, `.json`, or text with one a line"
    )
    id: str | None = Field(None, description="column or array of ids; default: ids, id or track_id")
    columns: list[str] = Field(
        [],
        description="columns of numbers, or the column or array of vectors; default: matrix, vectors or embeddings,"
        " otherwise every column of numbers",
    )


class VectorsEncoder(Encoder):
    """Encoder with precomputed vectors, looked up by track id in a file.

    Takes n ids and returns float32 [n, d]. The row of an id that is not in the file is NaN.
    """

    name: ClassVar[str] = "vectors"
    kind: ClassVar[Kind] = "category"
    can_fail: ClassVar[bool] = True
    failure_text: ClassVar[FailureText] = FailureText(
        "has a vector in the file",
        "that is not in the file of vectors",
        "use ids of the catalogue, such as `local:7` or `spotify:track:…`",
    )
    seeded: ClassVar[bool] = False
    default_field: ClassVar[str | None] = "id"
    source: ClassVar[str] = "a file of vectors computed elsewhere"
    Params: ClassVar[type[EncoderParams]] = VectorsParams
    params: VectorsParams

    @cached_property
    def _read(self) -> tuple[dict[str, int], np.ndarray]:
        """Return the row of each id, and the vectors. Raises `InputError` or `DataError` for an invalid file."""
        digest = self._digest
        ids, matrix = read(self._source)
        if self._hash() != digest:
            raise changed_while_read(self.params.file)
        return {track: row for row, track in enumerate(ids)}, matrix

    @property
    def _source(self) -> VectorSource:
        params = self.params
        ids = params.ids and params.ids.expanduser()
        return VectorSource(params.file.expanduser(), ids, params.id, tuple(params.columns))

    def check_files(self) -> None:
        file_format(self._source)

    @property
    def dim(self) -> int:
        return int(self._read[1].shape[1])

    def fingerprint(self) -> str:
        """Return a hash of the file contents. A changed file is therefore encoded again, by a new encoder."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        """Return the hash from before the file was read. An encoder keeps what it has read, and the hash of it."""
        return self._hash()

    def _hash(self) -> str:
        return files_digest(path for path in (self._source.path, self._source.ids) if path is not None)

    def licence(self) -> str:
        return unknown_licence(self.params.file)

    def transform(self, inputs: Texts, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for n ids, with NaN for ids that are not in the file."""
        row_of, matrix = self._read
        rows = np.array([self._row(row_of, track) for track in inputs], np.int64)
        out = np.full((len(rows), matrix.shape[1]), np.nan, np.float32)
        out[rows >= 0] = matrix[rows[rows >= 0]]
        if progress is not None:
            progress(len(rows), len(rows), self.name)
        return out

    @staticmethod
    def _row(row_of: dict[str, int], track: object) -> int:
        """Return the row of an id as given, without its scheme, or with the default scheme, or -1 if it is missing."""
        if not isinstance(track, str):
            return -1
        scheme, _, bare = track.partition(":")
        forms = [track, *([bare] if bare else []), *([track.rpartition(":")[2]] if scheme == "spotify" else [])]
        return next((row_of[form] for form in [*forms, f"local:{track}"] if form in row_of), -1)

"""Reader for Parquet files with one playlist entry or one playlist per row.

    reader: parquet
    path: plays/
    options:
      playlist: list_id
      position: pos
      tracks: {file: tracks.parquet, features: {audio: embedding}, fields: {lyrics: lyrics}}

Ids may be text or whole numbers, features numbers or lists of them. Files are read a few thousand rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from toolkit.catalogue.image_check import MAX_BYTES
from toolkit.catalogue.readers.open_files import existing, files_of
from toolkit.catalogue.readers.tables import column_types
from toolkit.catalogue.readers.tables.arrow_tables import TableReader
from toolkit.catalogue.readers.tables.placement_columns import PlacementColumns
from toolkit.catalogue.readers.tables.track_columns import TrackColumns
from toolkit.errors import DataError, InputError

ENDINGS = (".parquet", ".pq")
CODED = 6  # bytes per value; a column of texts with fewer is stored as codes into a dictionary
VALUE_BYTES = MAX_BYTES
"""Mean bytes of a value, the size of the largest picture."""
BATCH_BYTES = 1 << 28
"""Bytes of a column that are in memory at once. More is a decompression bomb, or is read in smaller batches."""
BUFFER = 1 << 20  # bytes of a column that are read at once


class ParquetTracks(TrackColumns):
    """Second Parquet file with one track per row."""

    file: Path


class ParquetParams(PlacementColumns):
    """Columns of the playlist file and of a second file with one track per row."""

    tracks: ParquetTracks | None = None
    source: str = "parquet"


class ParquetReader(TableReader):
    """Reader for Parquet files with one row for each track of a playlist, or one row per playlist.

    Track metadata is in the same file or in a second file.
    """

    name = "parquet"
    Params = ParquetParams
    params: ParquetParams

    @classmethod
    def recognises(cls, path: Path) -> bool:
        if path.is_dir():
            return any(file.name.lower().endswith(ENDINGS) for file in path.iterdir())
        return path.is_file() and path.name.lower().endswith(ENDINGS)

    def parts(self) -> list[ParquetPart]:
        beside = self._beside()
        files = [file for file in files_of(self.path, *ENDINGS) if file != beside or self.path.is_file()]
        if not files:
            raise InputError(f"{self.path} contains only the track file: add a Parquet file with playlists")
        return [ParquetPart(file) for file in files]

    def side(self) -> tuple[ParquetPart, TrackColumns] | None:
        beside = self._beside()
        return None if beside is None or self.params.tracks is None else (ParquetPart(beside), self.params.tracks)

    def _beside(self) -> Path | None:
        """Return the track file, in the folder of parts or next to the playlist file."""
        if self.params.tracks is None:
            return None
        return (self.path if existing(self.path).is_dir() else self.path.parent) / self.params.tracks.file


class ParquetPart:
    """Parquet file. Raises `InputError` for a missing file, `DataError` for an invalid file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.parent

    @cached_property
    def schema(self) -> pa.Schema:
        with self._open(()) as file:
            return file.schema_arrow

    def batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        with self._open(()) as file:
            groups = [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
        chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
        rows = self._rows([chunk for chunk in chunks if chunk.path_in_schema.partition(".")[0] in names], rows)
        texts = [name for name in names if column_types.is_text(self.schema.field(name).type)]
        repeated = [
            name for name in texts if self._repeats([chunk for chunk in chunks if chunk.path_in_schema == name], rows)
        ]
        with self._open(repeated) as file:
            for batch in file.iter_batches(rows, columns=list(names), use_threads=False):
                for name in repeated:
                    self._check(name, batch.column(name))
                yield batch.select(list(names))

    def _rows(self, chunks: Sequence[pq.ColumnChunkMetaData], rows: int) -> int:
        """Return how many rows to read at once, at most `rows`. Raises `DataError` for values that are too large."""
        largest = 1
        for chunk in chunks:
            largest = max(largest, chunk.total_uncompressed_size // max(chunk.num_values, 1))
            if largest > VALUE_BYTES:
                raise DataError(
                    f"{self.path}: a value of column {chunk.path_in_schema!r} must have at most {VALUE_BYTES:,} bytes:"
                    " shorten the values"
                )
        return max(1, min(rows, BATCH_BYTES // largest))

    def _repeats(self, chunks: Sequence[pq.ColumnChunkMetaData], rows: int) -> bool:
        """Return whether to read a text column as codes into a dictionary.

        Each text is then processed and held in memory once, however many rows refer to it. Columns of mostly different
        texts are faster as plain texts, unless their dictionary has long texts.
        """
        if not any(chunk.has_dictionary_page for chunk in chunks):
            return False
        if any(chunk.total_uncompressed_size < CODED * chunk.num_values for chunk in chunks):
            return True
        name = chunks[0].path_in_schema
        with self._open([name]) as file:
            for group in range(len(chunks)):
                for batch in file.iter_batches(1, row_groups=[group], columns=[name], use_threads=False):
                    longest = pc.max(pc.binary_length(batch.column(0).dictionary)).as_py() or 0
                    if longest * rows > BATCH_BYTES:
                        return True
                    break
        return False

    def _check(self, name: str, column: pa.Array) -> None:
        """Raise `DataError` for a few long texts to which many rows refer."""
        lengths = pc.binary_length(column.dictionary)
        if (pc.max(lengths).as_py() or 0) * len(column) > BATCH_BYTES:
            total = pc.sum(lengths.take(column.indices).cast(pa.int64())).as_py() or 0
            if total > BATCH_BYTES:
                raise DataError(f"{self.path}: column {name!r} repeats texts that are too long: shorten the texts")

    @contextmanager
    def _open(self, texts: Sequence[str]) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(
                existing(self.path), read_dictionary=list(texts), pre_buffer=False, buffer_size=BUFFER
            ) as file:
                yield file
        except pa.ArrowException as error:
            raise DataError(f"{self.path} must be a valid Parquet file ({str(error).splitlines()[0]})") from None
        except OSError as error:  # Arrow's own, of a damaged page, has no number
            if error.errno is not None:
                raise InputError(
                    f"{self.path} cannot be read ({error.strerror}): correct path or permissions"
                ) from None
            raise DataError(f"{self.path} must be a valid Parquet file ({str(error).splitlines()[0]})") from None

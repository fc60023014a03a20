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
import pyarrow.parquet as pq

from toolkit.catalogue.readers.open_files import existing, files_of
from toolkit.catalogue.readers.tables import column_types
from toolkit.catalogue.readers.tables.arrow_tables import TableReader
from toolkit.catalogue.readers.tables.placement_columns import PlacementColumns
from toolkit.catalogue.readers.tables.track_columns import TrackColumns, TrackTable
from toolkit.errors import DataError, InputError

ENDINGS = (".parquet", ".pq")
CODED = 6  # bytes per value; a column of texts with fewer is stored as codes into a dictionary
BUFFER = 1 << 20  # bytes of a column that are read at once


class ParquetParams(PlacementColumns):
    """Columns of the playlist file and of a second file with one track per row."""

    tracks: TrackTable | None = None
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
        with self._open(self._repeated(names)) as file:
            for batch in file.iter_batches(rows, columns=list(names), use_threads=False):
                yield batch.select(list(names))

    def _repeated(self, names: Sequence[str]) -> list[str]:
        """Return dictionary-encoded text columns, in which each text is processed only once."""
        with self._open(()) as file:
            first = file.metadata.row_group(0) if file.metadata.num_row_groups else None
            chunks = [] if first is None else [first.column(place) for place in range(first.num_columns)]
        small = {chunk.path_in_schema for chunk in chunks if chunk.total_uncompressed_size < CODED * chunk.num_values}
        return [name for name in names if column_types.is_text(self.schema.field(name).type) and name in small]

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

"""Audio features from a table by id: CSV, TSV (also gzipped) or Parquet, as data sets and exports have them.

No service is asked. Where the numbers come from and whether they may be trained on is for whoever has the table to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from collectors import file_index
from collectors.source import Absent, Answer, Entity, Found, Http, Request, Source, SourceParams, Terms
from toolkit.catalogue.readers.tables.delimited import DelimitedFile, nearest
from toolkit.catalogue.readers.tables.track_columns import feature_vector
from toolkit.constants import AUDIO_FEATURES
from toolkit.errors import DataError, InputError

VERSION = 1
BATCH = 10_000


class FeatureTableParams(SourceParams):
    """path: the table. key: its column of ids, and `ids` what they are. columns: the numbers, in this order."""

    path: Path
    key: str = "track_id"
    ids: Literal["track", "spotify", "isrc", "mbid"] = Field("track", description="`track`: the catalogue's own ids")
    columns: list[str] = Field(list(AUDIO_FEATURES), min_length=1)
    train_allowed: bool | None = Field(None, description="what the terms of the table's origin say")
    licence: str = "not stated"


class FeatureTable(Source):
    """Audio features from a CSV, TSV or Parquet table, by id.

    `audio_features` has one float per column. Rows with a missing number are left out.
    """

    name: ClassVar[str] = "feature-table"
    page: ClassVar[str] = "docs/sources.md"
    fields: ClassVar[Mapping[str, Entity]] = {"audio_features": "track"}
    terms: ClassVar[Terms] = Terms(None, "not stated", "docs/sources.md")
    Params: ClassVar[type[SourceParams]] = FeatureTableParams

    def __init__(self, params: SourceParams | None = None, *, keys: Mapping[str, str] | None = None) -> None:
        super().__init__(params, keys=keys)
        said = replace(type(self).terms, train_allowed=self.params.train_allowed, licence=self.params.licence)
        # what the class has is said of no table in particular
        self.terms = said  # type: ignore[misc]
        self.uses = () if self.params.ids == "track" else (self.params.ids,)  # type: ignore[misc]

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        about = f"{VERSION} {self.params.key} {self.params.columns}"
        with file_index.opened(folder, [self.params.path], self._rows(), version=about) as self.index:
            yield

    def collect(self, request: Request, http: Http) -> Answer:
        key = request.id if self.params.ids == "track" else request.ids.get(self.params.ids)
        found = self.index.get(_folded(key)) if key else []
        return (
            Found({"audio_features": np.frombuffer(found[-1], np.float64).tolist()}, payload=found[-1])
            if found
            else Absent()
        )

    def _rows(self) -> Iterator[tuple[str, bytes]]:
        """Key and float64 bytes of each row that has all its numbers."""
        path, columns = self.params.path, self.params.columns
        for row, where in (
            _parquet(path, [self.params.key, *columns]) if path.suffix == ".parquet" else _delimited(path)
        ):
            for name in (self.params.key, *columns):
                if name not in row:
                    raise InputError(f"{path} has no column {name!r}: {nearest(name, list(row))}")
            key = row[self.params.key]
            vector = feature_vector(row, columns, where, lambda where, why: None)
            if key and vector is not None:
                yield _folded(str(key)), np.array(vector).tobytes()


def _folded(key: str) -> str:
    """ISRCs are written in both cases and with dashes or not; other ids are kept as they are."""
    bare = key.strip()
    plain = bare.replace("-", "").upper()
    return plain if len(plain) == 12 and plain[:2].isalpha() and plain[5:].isdigit() else bare


def _delimited(path: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    def bad(where: str, why: str) -> None:
        raise DataError(f"{where}: {why}")

    table = DelimitedFile(path, bad)
    for line, row in table.rows():
        yield table.mapping(row), table.where(line)


def _parquet(path: Path, columns: list[str]) -> Iterator[tuple[Mapping[str, Any], str]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            for name in columns:
                if name not in names:
                    raise InputError(f"{path} has no column {name!r}: {nearest(name, names)}")
            for batch in file.iter_batches(BATCH, columns=columns):
                for row in batch.to_pylist():
                    yield row, str(path)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} is not a Parquet file that can be read: {error}") from None

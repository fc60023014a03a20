"""Audio features by id from a CSV, TSV, JSON Lines, Parquet or SQLite table.

The recipe sets whether models may be trained on the numbers, because this depends on the origin of the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from collectors.file_index import IndexedSource
from collectors.source import Absent, Answer, Found, Http, Request, SourceParams, Terms
from toolkit.catalogue.readers.tables.delimited import nearest
from toolkit.catalogue.readers.tables.row_files import open_rows
from toolkit.catalogue.readers.tables.track_columns import TableFile, feature_vector
from toolkit.constants import AUDIO_FEATURES
from toolkit.errors import DataError, InputError


class FeatureTable(IndexedSource):
    """Audio features from a CSV, TSV, JSON Lines, Parquet or SQLite table, by id.

    `audio_features` has one float per column. Rows with missing numbers are dropped.
    """

    name = "feature-table"
    page = "docs/sources.md"
    fields = {"audio_features": "track"}
    terms = Terms(None, "not stated", "docs/sources.md")

    class Params(SourceParams):
        """Parameters of a feature table.

        - path: path of the table, optionally gzipped.
        - key, ids: column with ids, and kind of id.
        - columns: numeric columns in vector order.
        """

        path: Path
        key: str = "track_id"
        ids: Literal["track", "spotify", "isrc", "mbid"] = Field(
            "track", description="`track`: the catalogue's own ids"
        )
        columns: list[str] = Field(list(AUDIO_FEATURES), min_length=1)
        train_allowed: bool | None = Field(None, description="whether the terms of the table's origin allow training")
        licence: str = "not stated"

    def __init__(self, params: SourceParams | None = None, *, keys: Mapping[str, str] | None = None) -> None:
        super().__init__(params, keys=keys)
        # the terms of this table instead of the class's
        terms = replace(type(self).terms, train_allowed=self.params.train_allowed, licence=self.params.licence)
        self.terms = terms  # type: ignore[misc]
        self.uses = () if self.params.ids == "track" else (self.params.ids,)  # type: ignore[misc]

    def files(self) -> list[Path]:
        return [self.params.path]

    def version(self) -> str:
        return f"1 {self.params.key} {self.params.columns}"

    def remark(self, absent: Request) -> str:
        path, key, ids, example = self.params.path, self.params.key, self.params.ids, self.index.example()
        looked_up = self._key(absent)
        scheme, _, rest = (looked_up or "").partition(":")
        if looked_up is None:
            cure = f"tracks have no {ids!r} id: collect ids first, or set `ids` to another kind"
        elif rest and self.index.get(_folded(rest)):
            cure = f"put {scheme + ':'!r} in front of the ids of the table"
        else:
            cure = "set `key` to the column with these ids, or `ids` to the kind of the ids in the table"
        return f"{path} has {example!r} in the column {key!r}, and {looked_up or absent.id!r} is looked up: {cure}"

    def _key(self, request: Request) -> str | None:
        return request.id if self.params.ids == "track" else request.ids.get(self.params.ids)

    def collect(self, request: Request, http: Http) -> Answer:
        key = self._key(request)
        vectors = self.index.get(_folded(key)) if key else []
        if not vectors:
            return Absent()
        return Found({"audio_features": np.frombuffer(vectors[-1], np.float64).tolist()}, payload=vectors[-1])

    def rows(self) -> Iterator[tuple[str, bytes]]:
        """Yield key and float64 bytes of all rows without missing numbers."""
        path, columns, names = self.params.path, self.params.columns, [self.params.key, *self.params.columns]
        file = open_rows(TableFile(file=path), Path(), _stop)
        for name in names if file.complete else ():
            if name not in file.header:
                raise InputError(f"{path} has no column {name!r}: {nearest(name, file.header)}")
        for where, row in file.rows(names):
            key = row.get(self.params.key)
            vector = feature_vector(row, columns, where, lambda where, why: None)
            if key and vector is not None:
                yield _folded(str(key)), np.array(vector).tobytes()


def _folded(key: str) -> str:
    """Return an ISRC in upper case without dashes, or any other id unchanged."""
    isrc = key.strip().replace("-", "").upper()
    return isrc if len(isrc) == 12 and isrc[:2].isalpha() and isrc[5:].isdigit() else key.strip()


def _stop(where: str, why: str) -> None:
    raise DataError(f"{where}: {why}")

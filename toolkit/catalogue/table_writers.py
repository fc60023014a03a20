"""Writers of tables as CSV, JSON Lines and Parquet, in the form that the readers of segue take."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.files import replacing

Form = Literal["csv", "jsonl", "parquet"]
Kind = Literal["text", "texts", "number", "integer", "vector"]
OutRow = Mapping[str, object]

_ARROW = {
    "text": pa.string(),
    "texts": pa.list_(pa.string()),
    "number": pa.float64(),
    "integer": pa.int64(),
    "vector": pa.list_(pa.float32()),
}


class WriteRows(Protocol):
    """Function that appends rows to a table."""

    def __call__(self, rows: Sequence[OutRow]) -> None: ...


def table_writer(
    form: Form, path: Path, columns: Mapping[str, Kind], *, sizes: Mapping[str, int], separator: str
) -> AbstractContextManager[WriteRows]:
    """Return a context in which rows are appended to a new file, which replaces `path` at the end.

    - columns: kind of each column.
    - sizes: length of each column of vectors. In CSV such a column becomes as many columns (`vector_columns`).
    - separator: text between several texts of a CSV cell.
    """
    if form == "csv":
        return _csv(path, columns, sizes, separator)
    return _jsonl(path) if form == "jsonl" else _parquet(path, columns)


def vector_columns(name: str, size: int) -> list[str]:
    """Return the names of the CSV columns of a vector."""
    return [f"{name}_{number}" for number in range(1, size + 1)]


@contextmanager
def _csv(path: Path, columns: Mapping[str, Kind], sizes: Mapping[str, int], separator: str) -> Iterator[WriteRows]:
    def cells(row: OutRow) -> Iterator[object]:
        for name, kind in columns.items():
            value = row.get(name)
            if kind == "vector":
                yield from [""] * sizes[name] if value is None else np.asarray(value, np.float32).astype(str).tolist()
            else:
                yield separator.join(value) if isinstance(value, list) else value

    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                part
                for name, kind in columns.items()
                for part in (vector_columns(name, sizes[name]) if kind == "vector" else [name])
            ]
        )
        yield lambda rows: writer.writerows([*cells(row)] for row in rows)


@contextmanager
def _jsonl(path: Path) -> Iterator[WriteRows]:
    encoder = msgspec.json.Encoder()

    with replacing(path) as temporary, temporary.open("wb") as file:

        def write(rows: Sequence[OutRow]) -> None:
            there = ({name: value for name, value in row.items() if value is not None} for row in rows)
            file.writelines(encoder.encode(row) + b"\n" for row in there)

        yield write


@contextmanager
def _parquet(path: Path, columns: Mapping[str, Kind]) -> Iterator[WriteRows]:
    schema = pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(list(rows), schema))

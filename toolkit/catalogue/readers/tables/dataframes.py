"""Conversion of dataframes to Arrow tables (pandas, Polars, Hugging Face, Arrow C stream)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from toolkit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

CURE = "give a pandas or Polars frame, an Arrow table, a Hugging Face dataset, or anything with __arrow_c_stream__"


def table_of(frame: object, name: str = "frame") -> pa.Table:
    """Return the content of `frame` as an Arrow table, without copies if possible.

    NaN in a pandas dataframe becomes null, and a named index becomes a column. Filters and shuffles of a Hugging Face
    dataset are applied. `name` is used in messages. Raises `InputError` for any other object, and for a column that
    Arrow cannot store.
    """
    try:
        return _table(frame, name)
    except pa.ArrowException as error:
        raise InputError(
            f"{name} must be convertible to an Arrow table ({_line(error)}): convert the columns"
        ) from None


def _table(frame: object, name: str) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if isinstance(frame, pa.RecordBatchReader):
        return frame.read_all()
    if isinstance(frame, _loaded("pandas", "DataFrame")):
        return _of_pandas(frame, name)
    if isinstance(frame, _loaded("datasets", "Dataset")):
        return frame.with_format("arrow")[:]
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(frame).read_all()
    for library, kind, cure in (
        ("datasets", "DatasetDict", "give one of its splits, such as dataset['train']"),
        ("datasets", "IterableDataset", "save it as Parquet and read that, or give a dataset that is not streamed"),
        ("polars", "LazyFrame", "give frame.collect()"),
    ):
        if isinstance(frame, _loaded(library, kind)):
            raise InputError(f"{name} is a {library}.{kind}: {cure}")
    raise InputError(f"{name} is a {type(frame).__name__}, which is not a table: {CURE}")


def _loaded(library: str, kind: str) -> type[Any] | tuple[()]:
    """Return a class in a library, or a placeholder if the library is not imported."""
    return getattr(sys.modules.get(library), kind, ())


def _of_pandas(frame: pd.DataFrame, name: str) -> pa.Table:
    named = any(level is not None for level in frame.index.names)
    frame = frame.reset_index() if named else frame
    if not all(isinstance(column, str) for column in frame.columns):
        odd = next(column for column in frame.columns if not isinstance(column, str))
        raise InputError(f"{name}: column name {odd!r} must be text: rename the column")
    if not frame.columns.is_unique:
        raise InputError(
            f"{name}: the column name {frame.columns[frame.columns.duplicated()][0]!r} must be unique: rename a column"
        )
    arrays = []
    for column in frame.columns:
        try:
            arrays.append(pa.Array.from_pandas(frame[column]))
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise InputError(
                f"{name}, column {column!r} must have values of one type ({_line(error)}): convert the column"
            ) from None
    return pa.table(
        [pa.chunked_array(array) if isinstance(array, list) else array for array in arrays], names=list(frame.columns)
    )


def _line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

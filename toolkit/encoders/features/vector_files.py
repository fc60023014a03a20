"""Reader for files of precomputed vectors with their ids. Pickles are never loaded.

.npy          the matrix; the ids are in a second file (.npy, .txt with one id per line, or .json)
.npz          two arrays, `ids` and `matrix`
.parquet      a column of ids, and one column of lists or several columns of numbers
.safetensors  `matrix` and `ids`, as a run keeps its encodings, or the ids in a second file
.csv, .tsv    a column of ids and columns of numbers, gzipped or not
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.errors import DataError, InputError, first_line

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = (".npy", ".npz", ".parquet", ".pq", ".safetensors", ".csv", ".tsv")
IDS = ("ids", "id", "track_id", "track")
"""Default names of the array or column of ids; the first that exists is taken."""
MATRIX = ("matrix", "vectors", "embeddings", "vector", "embedding")
"""Default names of the array or column of vectors."""
CURE = "save the ids as np.array(ids, dtype=str) or as whole numbers"
LOAD_ERRORS = (OSError, ValueError, EOFError, zipfile.BadZipFile)
"""Errors that NumPy raises for an invalid file."""

Content = tuple[list[str], np.ndarray]
"""Ids, and a matrix of any type and shape. The list is empty if the ids are in a second file."""


@dataclass(frozen=True)
class VectorSource:
    """Location of precomputed vectors.

    - path: the file.
    - ids: second file, which contains the ids.
    - id: name of the array or column of ids.
    - columns: names of the columns of numbers, or of the array or column of vectors.
    """

    path: Path
    ids: Path | None = None
    id: str | None = None
    columns: tuple[str, ...] = ()

    def chosen(self, header: Sequence[str], name: str | None, defaults: Sequence[str], option: str) -> str:
        """Return `name`, or the first of `defaults` in `header`.

        Raises `InputError` if there is no such array or column.
        """
        if name is None:
            name = next((default for default in defaults if default in header), None)
        if name is None or name not in header:
            missing = repr(name) if name is not None else " or ".join(map(repr, defaults[:3]))
            contents = ", ".join(header) or "nothing"
            raise InputError(
                f"{self.path} must contain {missing} but contains {contents}: set {option} to an existing name"
            )
        return name

    def matrix_name(self, header: Sequence[str]) -> str:
        return self.chosen(header, self.columns[0] if self.columns else None, MATRIX, "columns")

    def id_name(self, header: Sequence[str]) -> str:
        return self.chosen(header, self.id, IDS, "id")


def read(source: VectorSource) -> tuple[list[str], np.ndarray]:
    """Read ids and their vectors, float32 [n, d], one row per id.

    Rows of NaN are skipped because they mark missing vectors. float64, float16 and integers are converted. Raises
    `InputError` for a missing file or an unknown format, and `DataError` for invalid content. Both errors give the file
    and the cure.
    """
    ids, matrix = _READERS[file_format(source)](source)
    return checked(source.path, ids if source.ids is None else ids_of(source.ids), matrix)


def file_format(source: VectorSource) -> str:
    """Return the ending of the file, one of `FORMATS`.

    Raises `InputError` for a missing file, an unknown format, or a file without ids.
    """
    name = source.path.name.lower().removesuffix(".gz")
    ending = next((ending for ending in FORMATS if name.endswith(ending)), None)
    for path in (source.path, source.ids):
        if path is not None and not path.is_file():
            raise InputError(f"{path} does not exist: pass the path of an existing file")
    if ending is None:
        raise InputError(f"{source.path} must end in {', '.join(FORMATS)}: save the vectors in such a format")
    if ending == ".npy" and source.ids is None:
        raise InputError(
            f"{source.path} contains vectors without ids: set `ids` to a file of ids, or save a .npz with ids and "
            "matrix"
        )
    return ending


def checked(path: Path, ids: Sequence[str], vectors: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return ids and vectors as float32, without rows of NaN.

    Raises `DataError` for an invalid shape, dtype, number or id.
    """
    matrix = np.asarray(vectors)
    if matrix.ndim != 2 or not matrix.shape[1]:
        raise DataError(f"{path}: the vectors have shape {matrix.shape} but must have (n, d): save one row per id")
    if matrix.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: the vectors have dtype {matrix.dtype} but must be numbers: save the vectors as float32"
        )
    if len(ids) != len(matrix):
        raise DataError(
            f"{path}: {len(ids):,} ids must match {len(matrix):,} vectors: save one id per vector, in the same order"
        )
    if (repeated := _repeated(ids)) is not None:
        raise DataError(f"{path}: the id {repeated!r} occurs twice but must be unique: remove the second vector")
    with np.errstate(over="ignore"):
        matrix = matrix.astype(np.float32, copy=False)
    missing = np.isnan(matrix).all(axis=1)
    for row in np.flatnonzero(~np.isfinite(matrix).all(axis=1) & ~missing)[:1]:
        raise DataError(
            f"{path}: the vector of {ids[row]!r} contains NaN or infinity but must be finite: correct the vector, or "
            "remove the row"
        )
    if missing.all():
        raise DataError(f"{path} must contain at least 1 vector that is not NaN: save at least one vector")
    if not missing.any():
        return list(ids), matrix
    return [ids[row] for row in np.flatnonzero(~missing).tolist()], matrix[~missing]


def ids_of(path: Path) -> list[str]:
    """Read a file of ids in `.npy`, `.json` (a list) or text with one id per line."""
    if path.suffix.lower() == ".npy":
        return texts(path, _load_array(path))
    try:
        written = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return texts(path, np.array(json.loads(written)))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): save the ids as .npy, as .json, or as text with one id per line"
        ) from None
    lines = (line.strip(" \t\r") for line in written.split("\n"))  # other spaces can be part of an id
    return [line for line in lines if line]


def texts(path: Path, ids: np.ndarray) -> list[str]:
    """Return an array of ids as strings. Raises `DataError` for an array of any other type."""
    if ids.ndim != 1 or ids.dtype.kind not in "UTSiu":
        raise DataError(
            f"{path}: the ids have dtype {ids.dtype} and shape {ids.shape} but must be one id per vector: {CURE}"
        )
    return [value.decode() if isinstance(value, bytes) else str(value) for value in ids.tolist()]


def _repeated(ids: Sequence[str]) -> str | None:
    """Return the first id that occurs twice, where `a` and `local:a` count as the same id, or None."""
    seen: set[str] = set()
    for track in ids:
        bare = track.removeprefix("local:")
        if bare in seen:
            return track
        seen.add(bare)
    return None


def _npy(source: VectorSource) -> Content:
    return [], _load_array(source.path)


def _npz(source: VectorSource) -> Content:
    opened = _load(source.path)
    if isinstance(opened, np.ndarray):
        raise DataError(
            f"{source.path} contains one array without names: rename the file to .npy and set `ids` to a file of ids"
        )
    with opened as arrays:
        matrix = source.matrix_name(arrays.files)
        ids = [] if source.ids is not None else texts(source.path, _array(source, arrays, source.id_name(arrays.files)))
        return ids, _array(source, arrays, matrix)


def _load(path: Path) -> np.ndarray | np.lib.npyio.NpzFile:
    try:
        loaded: np.ndarray | np.lib.npyio.NpzFile = np.load(path, allow_pickle=False)
    except LOAD_ERRORS as error:
        raise DataError(f"{path} cannot be read {_reason(error)}") from None
    return loaded


def _load_array(path: Path) -> np.ndarray:
    array = _load(path)
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} contains several arrays but must contain one: rename the file to .npz")
    return array


def _array(source: VectorSource, arrays: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    try:
        return np.asarray(arrays[name])
    except LOAD_ERRORS as error:
        raise DataError(f"{source.path}, array {name!r} cannot be read {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    """Return the reason from NumPy with a cure, also for files that require pickle."""
    if "pickle" in first_line(error).lower():
        return f"(not a NumPy file, or a pickle, which is never loaded): {CURE}, and the vectors as float32"
    return f"({first_line(error)}): save the file again"


def _safetensors(source: VectorSource) -> Content:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(source.path, framework="numpy") as file:
            names = list(file.keys())
            matrix: np.ndarray = file.get_tensor(source.matrix_name(names))
            if "present" in names and matrix.ndim == 2 and matrix.dtype.kind == "f":
                matrix[~file.get_tensor("present").astype(bool)] = np.nan
            if source.ids is not None:
                return [], matrix
            ids = file.get_tensor(source.id_name(names))
            offsets = file.get_tensor("id_offsets").tolist() if "id_offsets" in names else None
    except (OSError, SafetensorError, TypeError, ValueError, IndexError) as error:
        raise DataError(
            f"{source.path} cannot be read ({first_line(error)}): save the vectors as float32 or float16 in safetensors"
        ) from None
    if offsets is None:
        return texts(source.path, ids), matrix
    content = ids.tobytes()
    return [content[start:end].decode() for start, end in pairwise(offsets)], matrix


def _parquet(source: VectorSource) -> Content:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source.path) as file:
            name = _id_column(source, file.schema_arrow)
            chosen = _number_columns(source, file.schema_arrow, name)
            table = file.read(columns=[*([] if name is None else [name]), *chosen])
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{source.path} is not a Parquet file or is damaged ({first_line(error)}): save the table again"
        ) from None
    return _content(source, table, name, chosen)


def _csv(source: VectorSource) -> Content:
    import pyarrow as pa
    from pyarrow import csv

    tabs = source.path.name.lower().removesuffix(".gz").endswith(".tsv")
    parsing = csv.ParseOptions(delimiter="\t" if tabs else ",")
    try:
        with csv.open_csv(source.path, parse_options=parsing) as file:
            name = _id_column(source, file.schema)
        # an id is text: 007 is not 7
        types = csv.ConvertOptions(column_types={} if name is None else {name: pa.string()})
        table = csv.read_csv(source.path, convert_options=types, parse_options=parsing)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source.path} cannot be read ({first_line(error)}): save the table again") from None
    return _content(source, table, name, _number_columns(source, table.schema, name))


def _id_column(source: VectorSource, schema: pa.Schema) -> str | None:
    """Return the column of ids, or None if the ids are in a second file."""
    return None if source.ids is not None else source.id_name(list(schema.names))


def _number_columns(source: VectorSource, schema: pa.Schema, ids: str | None) -> list[str]:
    """Return the columns of numbers, or the column of vectors.

    - ids: name of the id column.
    """
    import pyarrow as pa

    header = list(schema.names)
    if source.columns:
        return [source.chosen(header, column, (), "columns") for column in source.columns]
    lists = [field.name for field in schema if pa.types.is_nested(field.type) and field.name != ids]
    if len(lists) > 1:
        best = next((column for column in MATRIX if column in lists), None)
        if best is None:
            raise InputError(
                f"{source.path} must have one column of vectors but has {', '.join(lists)}: set `columns: [{lists[0]}]`"
            )
        lists = [best]
    chosen = lists or [field.name for field in schema if _is_number(field.type) and field.name != ids]
    if not chosen:
        contents = ", ".join(header)
        raise InputError(
            f"{source.path} must have numbers next to {ids!r} but has only {contents}: add a column of numbers"
        )
    return chosen


def _content(source: VectorSource, table: pa.Table, name: str | None, chosen: Sequence[str]) -> Content:
    import pyarrow as pa

    types = {column: table.schema.field(column).type for column in chosen}
    if len(chosen) == 1 and pa.types.is_nested(types[chosen[0]]):
        matrix = _vectors(source.path, table, chosen[0])
    else:
        for column, kind in types.items():
            if not _is_number(kind):
                raise DataError(
                    f"{source.path}, column {column!r} has type {kind} but must contain numbers: set `columns: […]`"
                )
        matrix = np.stack([_floats(table.column(column)) for column in chosen], axis=1)
    ids = [] if name is None else table.column(name).to_pylist()
    for track in ids:
        if not isinstance(track, str | int) or isinstance(track, bool):
            raise DataError(
                f"{source.path}, column {name!r}: the id {track!r} must be text or a whole number: correct the id, or "
                "remove the row"
            )
    return [str(track) for track in ids], matrix


def _vectors(path: Path, table: pa.Table, column: str) -> np.ndarray:
    """Return a column of lists as a matrix, with a row of NaN for each null."""
    listed = table.column(column).combine_chunks()
    lengths = {len(vector) for vector in listed.to_numpy(zero_copy_only=False) if vector is not None}
    if len(lengths) > 1:
        raise DataError(
            f"{path}, column {column!r} has vectors of {min(lengths)} to {max(lengths)} numbers but must have one "
            "dimension: save vectors of equal length"
        )
    matrix = np.full((len(listed), max(lengths, default=0)), np.nan, np.float32)
    present = listed.is_valid().to_numpy(zero_copy_only=False)
    flat = listed.drop_null().flatten()
    if not _is_number(flat.type):
        raise DataError(
            f"{path}, column {column!r} has lists of {flat.type} but must have lists of numbers: set `columns: […]`"
        )
    matrix[present] = _floats(flat).reshape(int(present.sum()), -1)
    return matrix


def _floats(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return a column of numbers as float64, with NaN for missing values."""
    return np.asarray(column.cast("float64", safe=False).to_numpy(zero_copy_only=False), np.float64)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


_READERS: dict[str, Callable[[VectorSource], Content]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".parquet": _parquet,
    ".pq": _parquet,
    ".safetensors": _safetensors,
    ".csv": _csv,
    ".tsv": _csv,
}

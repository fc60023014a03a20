"""Files of vectors made elsewhere: ids and a matrix, in NumPy's, Parquet's, safetensors' or CSV's form, never a pickle.

.npy          the matrix alone; the ids are in a second file (.npy, .txt with one a line, or .json)
.npz          two arrays, `ids` and `matrix`
.parquet      a column of ids, and one column of lists or several of numbers
.safetensors  `matrix` and `ids`, as an encoding of a run is kept, or the ids in a second file
.csv, .tsv    a column of ids and columns of numbers, gzipped or not
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import DataError, InputError

FORMS = (".npy", ".npz", ".parquet", ".pq", ".safetensors", ".csv", ".tsv")
IDS = ("ids", "id", "track_id", "track")
"""Arrays or columns that hold ids where none is named, the first that is there."""
MATRIX = ("matrix", "vectors", "embeddings", "vector", "embedding")
"""The same of vectors."""
CURE = "save them as text, np.array(ids, dtype=str), or as whole numbers"


@dataclass(frozen=True)
class Named:
    """What a file holds, and what its user names of it. ids: a second file; id: the array or column of ids; columns: those of numbers."""

    path: Path
    ids: Path | None = None
    id: str | None = None
    columns: tuple[str, ...] = ()


def read(named: Named) -> tuple[list[str], np.ndarray]:
    """Ids, and their vectors float32 [n, d], one a row; rows of NaN are left out, for they say that there is nothing.

    float64 and float16 are taken, as are whole numbers. Raises `InputError` for a file that is missing or of another kind, `DataError`
    for one whose content breaks a rule; both name the file and what to do.
    """
    ids, matrix = _READERS[form(named)](named)
    return checked(named.path, ids if named.ids is None else ids_of(named.ids), matrix)


def form(named: Named) -> str:
    """The ending of the file, one of `FORMS`. Raises `InputError` for a file that is missing, of another kind, or without its ids."""
    ending = next((ending for ending in FORMS if named.path.name.lower().removesuffix(".gz").endswith(ending)), None)
    for path in (named.path, named.ids):
        if path is not None and not path.is_file():
            raise InputError(f"{path} does not exist: give a file of vectors, one of {', '.join(FORMS)}")
    if ending is None:
        raise InputError(f"{named.path} is not one of {', '.join(FORMS)}: save the vectors as one of these")
    if ending == ".npy" and named.ids is None:
        raise InputError(
            f"{named.path} holds vectors alone: name the file of their ids with ids: …, or save both as .npz"
        )
    return ending


def checked(path: Path, ids: Sequence[str], given: Any) -> tuple[list[str], np.ndarray]:
    """The same as float32, without rows of NaN. Raises `DataError` for a shape, a type, a number or an id that breaks a rule."""
    matrix = np.asarray(given)
    if matrix.ndim != 2 or not matrix.shape[1]:
        raise DataError(f"{path}: the vectors have shape {matrix.shape}, not (n, d): save one row for each id")
    if matrix.dtype.kind not in "fiu":
        raise DataError(f"{path}: the vectors are of {matrix.dtype}: save numbers, such as float32")
    if len(ids) != len(matrix):
        raise DataError(
            f"{path}: {len(ids):,} ids of {len(matrix):,} vectors: give each vector one id, in the same order"
        )
    if again := _twice(ids):
        raise DataError(f"{path}: the id {again!r} occurs twice: keep one of its vectors")
    with np.errstate(over="ignore"):
        matrix = matrix.astype(np.float32, copy=False)
    nothing, broken = np.isnan(matrix).all(axis=1), ~np.isfinite(matrix).all(axis=1)
    if (broken & ~nothing).any():
        row = int(np.flatnonzero(broken & ~nothing)[0])
        raise DataError(
            f"{path}: the vector of {ids[row]!r} holds NaN or infinity: give all its numbers, or NaN for all of them"
        )
    if nothing.all():
        raise DataError(f"{path} holds no vector")
    return (
        ([ids[row] for row in np.flatnonzero(~nothing).tolist()], matrix[~nothing])
        if nothing.any()
        else (list(ids), matrix)
    )


def ids_of(path: Path) -> list[str]:
    """Ids of a file that holds nothing else: `.npy`, `.json` (a list), or a text with one a line."""
    if path.suffix.lower() == ".npy":
        return texts(path, _load(path))
    try:
        written = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return texts(path, np.array(json.loads(written)))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {error}: save the ids as .npy, as .json or as text, one a line"
        ) from None
    return [line.strip() for line in written.splitlines() if line.strip()]


def texts(path: Path, ids: np.ndarray) -> list[str]:
    """An array of ids as texts. Raises `DataError` for one of anything else."""
    if ids.ndim != 1 or ids.dtype.kind not in "UTSiu":
        raise DataError(f"{path}: the ids are {ids.dtype} of shape {ids.shape}: {CURE}, one for each vector")
    return [each.decode() for each in ids.tolist()] if ids.dtype.kind == "S" else [str(each) for each in ids.tolist()]


def _twice(ids: Sequence[str]) -> str | None:
    """An id that comes twice, with its scheme or without: `a` is `local:a`."""
    seen: set[str] = set()
    for each in ids:
        bare = each.removeprefix("local:")
        if bare in seen:
            return each
        seen.add(bare)
    return None


def _npy(named: Named) -> tuple[list[str], Any]:
    matrix = _load(named.path)
    if not isinstance(matrix, np.ndarray):
        raise DataError(f"{named.path} holds several arrays: name it .npz")
    return [], matrix


def _npz(named: Named) -> tuple[list[str], Any]:
    opened = _load(named.path)
    if isinstance(opened, np.ndarray):
        raise DataError(f"{named.path} holds one array: name it .npy, and the file of ids with ids: …")
    with opened as arrays:
        matrix = _chosen(named, arrays.files, named.columns[0] if named.columns else None, MATRIX, "columns")
        if named.ids is not None:
            return [], _array(named.path, arrays, matrix)
        name = _chosen(named, arrays.files, named.id, IDS, "id")
        return texts(named.path, _array(named.path, arrays, name)), _array(named.path, arrays, matrix)


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {_why(error)}") from None


def _array(path: Path, arrays: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(arrays[name])
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}, array {name!r} cannot be read: {_why(error)}") from None


def _why(error: Exception) -> str:
    """NumPy's reason; where it asks for pickle, what to do instead."""
    text = str(error).splitlines()[0]
    if "pickle" in text.lower():
        return f"it is a pickle, or no file of NumPy's; pickles are never loaded: {CURE}, and vectors as float32"
    return f"{text}: is it damaged?"


def _safetensors(named: Named) -> tuple[list[str], Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(named.path, framework="numpy") as file:
            names = list(file.keys())
            tensor = file.get_tensor(
                _chosen(named, names, named.columns[0] if named.columns else None, MATRIX, "columns")
            )
            if "present" in names and tensor.ndim == 2 and tensor.dtype.kind == "f":
                tensor[~file.get_tensor("present").astype(bool)] = np.nan
            if named.ids is not None:
                return [], tensor
            ids = file.get_tensor(_chosen(named, names, named.id, IDS, "id"))
            offsets = file.get_tensor("id_offsets").tolist() if "id_offsets" in names else None
    except (OSError, SafetensorError, TypeError, ValueError, IndexError) as error:
        raise DataError(
            f"{named.path} cannot be read: {str(error).splitlines()[0]}: save float32 or float16 as safetensors"
        ) from None
    if offsets is None:
        return texts(named.path, ids), tensor
    content = ids.tobytes()
    return [content[start:end].decode() for start, end in pairwise(offsets)], tensor


def _parquet(named: Named) -> tuple[list[str], Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(named.path) as file:
            name, chosen = _columns(named, file.schema_arrow)
            table = file.read(columns=[*([] if name is None else [name]), *chosen])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{named.path} is not a Parquet file, or is damaged: {str(error).splitlines()[0]}") from None
    return _of_table(named, table, name, chosen)


def _csv(named: Named) -> tuple[list[str], Any]:
    import pyarrow as pa
    from pyarrow import csv

    tabs = named.path.name.lower().removesuffix(".gz").endswith(".tsv")
    given = {"parse_options": csv.ParseOptions(delimiter="\t" if tabs else ",")}
    try:
        with csv.open_csv(named.path, **given) as file:
            name, _ = _columns(named, file.schema, found=False)
        # an id is text: 007 is not 7
        texts_as = csv.ConvertOptions(column_types={} if name is None else {name: pa.string()})
        table = csv.read_csv(named.path, convert_options=texts_as, **given)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{named.path} cannot be read: {str(error).splitlines()[0]}") from None
    return _of_table(named, table, *_columns(named, table.schema))


def _columns(named: Named, schema: Any, *, found: bool = True) -> tuple[str | None, list[str]]:
    """The column of ids, None where they are in a second file, and those of numbers. found: whether the latter are looked for yet."""
    import pyarrow as pa

    header = list(schema.names)
    name = None if named.ids is not None else _chosen(named, header, named.id, IDS, "id")
    if not found:
        return name, []
    for column in named.columns:
        _chosen(named, header, column, (), "columns")
    lists = [field.name for field in schema if pa.types.is_nested(field.type) and field.name != name]
    numbers = [field.name for field in schema if _is_number(field.type) and field.name != name]
    if not named.columns and len(lists) > 1:
        best = next((column for column in MATRIX if column in lists), None)
        if best is None:
            raise InputError(f"{named.path} has several columns of lists: name one with columns: [{lists[0]}]")
        lists = [best]
    chosen = list(named.columns) or lists or numbers
    if not chosen:
        raise InputError(f"{named.path} has no column of numbers beside {name!r}: its columns are {', '.join(header)}")
    return name, chosen


def _of_table(named: Named, table: Any, name: str | None, chosen: Sequence[str]) -> tuple[list[str], Any]:
    import pyarrow as pa

    wrong = next((column for column in chosen if not _is_number(table.schema.field(column).type)), None)
    nested = len(chosen) == 1 and wrong is not None and pa.types.is_nested(table.schema.field(wrong).type)
    if wrong is not None and not nested:
        raise DataError(
            f"{named.path}, column {wrong!r} holds {table.schema.field(wrong).type}, not numbers: name others with columns: […]"
        )
    matrix = (
        _vectors(named.path, table, chosen[0])
        if nested
        else np.stack([_floats(table.column(column)) for column in chosen], axis=1)
    )
    if name is None:
        return [], matrix
    listed = table.column(name).to_pylist()
    odd = [each for each in listed if not isinstance(each, str | int) or isinstance(each, bool)]
    if odd:
        raise DataError(
            f"{named.path}, column {name!r}: the id {odd[0]!r} is neither text nor a whole number: give each vector one"
        )
    return [str(each) for each in listed], matrix


def _vectors(path: Path, table: Any, column: str) -> np.ndarray:
    """A column of lists as a matrix; a null is a row of NaN."""
    listed = table.column(column).combine_chunks()
    lengths = {len(each) for each in listed.to_numpy(zero_copy_only=False) if each is not None}
    if len(lengths) > 1:
        raise DataError(
            f"{path}, column {column!r} holds vectors of several lengths ({min(lengths)} to {max(lengths)}): give each the same"
        )
    matrix = np.full((len(listed), max(lengths, default=0)), np.nan, np.float32)
    there = listed.is_valid().to_numpy(zero_copy_only=False)
    flat = listed.drop_null().flatten()
    if not _is_number(flat.type):
        raise DataError(
            f"{path}, column {column!r} holds lists of {flat.type}, not of numbers: name another with columns: […]"
        )
    matrix[there] = _floats(flat).reshape(int(there.sum()), -1)
    return matrix


def _floats(column: Any) -> np.ndarray:
    """A column of numbers; NaN where one is missing."""
    return np.asarray(column.cast("float64", safe=False).to_numpy(zero_copy_only=False), np.float64)


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _chosen(named: Named, header: Sequence[str], given: str | None, defaults: Sequence[str], option: str) -> str:
    """The array or column that was named, or the first of the defaults. Raises `InputError` where there is none."""
    if given is None:
        given = next((name for name in defaults if name in header), None)
    if given is None or given not in header:
        wanted = repr(given) if given is not None else " or ".join(map(repr, defaults[:3]))
        raise InputError(
            f"{named.path} has no {wanted} (parameter {option}): it holds {', '.join(header) or 'nothing'}"
        )
    return given


_READERS = {
    ".npy": _npy,
    ".npz": _npz,
    ".parquet": _parquet,
    ".pq": _parquet,
    ".safetensors": _safetensors,
    ".csv": _csv,
    ".tsv": _csv,
}

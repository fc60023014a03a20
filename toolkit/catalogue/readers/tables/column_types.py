"""Conversion of Arrow columns to ids, texts, numbers and times, by the rules of text files.

A column of a wrong type raises `InputError`. Rows with bad values are returned.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.catalogue.readers.ids import qualified
from toolkit.catalogue.readers.open_files import BLANKS
from toolkit.catalogue.readers.tables.delimited import number_or_nan
from toolkit.errors import InputError
from toolkit.timestamps import FIRST, LAST, NO_TIME, to_seconds

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY = 86_400
_DATES = (10_000_000, 99_999_999)
"""Whole numbers that `toolkit.timestamps` reads as dates without dashes."""
_HAS_SCHEME = r"^[A-Za-z][0-9A-Za-z_+.\-]+:"


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_list(kind: pa.DataType) -> bool:
    views = pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind)
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind) or views)


def is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def inner(kind: pa.DataType) -> pa.DataType:
    """Return the value type of a dictionary, or the storage type of an extension."""
    if isinstance(kind, pa.BaseExtensionType):
        return inner(kind.storage_type)
    return inner(kind.value_type) if pa.types.is_dictionary(kind) else kind


def is_plain(kind: pa.DataType) -> bool:
    """Return whether values are texts, numbers or all null, as ids and names must be."""
    kind = inner(kind)
    return is_text(kind) or is_number(kind) or pa.types.is_null(kind)


def is_moment(kind: pa.DataType) -> bool:
    kind = inner(kind)
    return is_plain(kind) or bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def is_vector(kind: pa.DataType) -> bool:
    """Return whether values are numbers, number lists, or texts that can be parsed as numbers."""
    kind = inner(kind)
    return is_plain(kind) or pa.types.is_boolean(kind) or (is_list(kind) and is_plain(kind.value_type))


def is_names(kind: pa.DataType) -> bool:
    kind = inner(kind)
    return is_plain(kind) or (is_list(kind) and is_plain(kind.value_type))


def is_file(kind: pa.DataType) -> bool:
    """Return whether values are paths, file bytes, or both, as in Hugging Face datasets."""
    kind = inner(kind)
    both = pa.types.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}
    return is_plain(kind) or is_bytes(kind) or both


def kind_of(kind: pa.DataType) -> str:
    """Return the name of a type for messages."""
    shown = str(kind)
    return shown if len(shown) <= 60 else shown[:59] + "…"


def without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch without view types, because not all Arrow functions accept views."""
    schema = pa.schema([(field.name, _older(field.type)) for field in batch.schema])
    return batch if schema.equals(batch.schema) else batch.cast(schema)


def _older(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list_view(kind) or pa.types.is_list(kind):
        changed: pa.DataType = pa.list_(_older(kind.value_type))
    elif pa.types.is_large_list_view(kind) or pa.types.is_large_list(kind):
        changed = pa.large_list(_older(kind.value_type))
    elif pa.types.is_struct(kind):
        changed = pa.struct([(field.name, _older(field.type)) for field in kind])
    else:
        return kind
    return kind if changed.equals(kind) else changed


def plain(array: pa.Array) -> pa.Array:
    """Return the array without extension and view types, which few functions accept."""
    if isinstance(array, pa.ExtensionArray):
        return plain(array.storage)
    kind = _older(array.type)
    return array if kind is array.type else array.cast(kind)


def decoded(array: pa.DictionaryArray) -> pa.Array:
    """Return dictionary values by row."""
    return plain(array.dictionary).take(array.indices)


def texts(array: pa.Array) -> pa.Array:
    """Return stripped texts, string [n], with null for empty texts and NaN (the missing text in pandas)."""
    array = plain(array)
    if pa.types.is_dictionary(array.type):
        return texts(array.dictionary).take(array.indices)
    if pa.types.is_floating(array.type):
        # as Python writes a number, which is how it is in a text file
        values = [None if value is None or value != value else str(value) for value in array.to_pylist()]
        return pa.array(values, pa.string())
    array = pc.utf8_trim(array.cast(pa.string()), BLANKS)
    empty = pc.equal(pc.binary_length(pc.utf8_trim_whitespace(array)), 0)
    return pc.if_else(empty, pa.scalar(None, pa.string()), array) if pc.any(empty).as_py() else array


def ids(array: pa.Array, scheme: str | None, where: Callable[[int], str], column: str) -> pa.DictionaryArray:
    """Return ids as string dictionaries [n], with null for missing ids.

    - scheme: prefix for ids without a scheme, or None to keep ids unchanged.
    - where: location of a row, for messages.

    Raises `InputError` for a number with a fraction.
    """
    array = plain(array)
    if pa.types.is_floating(array.type):
        array = _whole(array, where, column)
    coded = _coded(array)
    if pa.types.is_floating(coded.type.value_type):
        return ids(decoded(coded), scheme, where, column)
    if pa.types.is_integer(coded.type.value_type):  # digits have no blanks and no scheme
        values = coded.dictionary.cast(pa.string())
        values = values if scheme is None else pc.binary_join_element_wise(pa.scalar(f"{scheme}:"), values, "")
    else:
        values = texts(coded.dictionary)
        values = values if scheme is None else with_scheme(values, scheme)
    indices = coded.indices.cast(pa.int32())
    if values.null_count:
        indices = pc.if_else(values.is_valid().take(indices), indices, pa.scalar(None, pa.int32()))
        values = values.fill_null("")
    return pa.DictionaryArray.from_arrays(indices, values)


def first_places(codes: np.ndarray, n: int) -> np.ndarray:
    """Return the first index of each code 0…n − 1, int64 [n], or the number of codes if absent."""
    first = np.full(n, len(codes))
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first


def _coded(array: pa.Array) -> pa.DictionaryArray:
    """Return a column as a dictionary in row order. Integers in a small range use a table instead of hashing."""
    if pa.types.is_dictionary(array.type):
        return array
    if not pa.types.is_integer(array.type) or array.null_count or not len(array) or pa.types.is_uint64(array.type):
        return array.dictionary_encode()
    values = array.to_numpy(zero_copy_only=False)
    low, high = int(values.min()), int(values.max())
    if high - low > 4 * len(values):
        return array.dictionary_encode()
    offsets = (values - values.dtype.type(low)).astype(np.int32)
    first = first_places(offsets, high - low + 1)
    new = np.zeros(len(values), bool)
    new[first[first < len(values)]] = True
    distinct = offsets[new]
    place = np.zeros(high - low + 1, np.int32)
    place[distinct] = np.arange(len(distinct), dtype=np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(place[offsets]), pa.array(values[new]))


def with_scheme(values: pa.Array, scheme: str) -> pa.Array:
    """Return `ids.qualified` for each text."""
    has = pc.match_substring_regex(values, _HAS_SCHEME)
    qualified_values = pc.if_else(has, values, pc.binary_join_element_wise(pa.scalar(f"{scheme}:"), values, ""))
    unclear = pc.and_(pc.invert(has), pc.invert(pc.string_is_ascii(values)))
    if pc.any(unclear).as_py():  # letters of other scripts are letters to `qualified`
        rare = [qualified(text, scheme) for text in values.filter(unclear).to_pylist() if text is not None]
        qualified_values = pc.replace_with_mask(qualified_values, unclear.fill_null(False), pa.array(rare, pa.string()))
    return qualified_values


def numbers(array: pa.Array) -> np.ndarray:
    """Return numbers as float64 [n], with NaN for other values."""
    array = plain(array)
    if pa.types.is_dictionary(array.type):
        array = decoded(array)
    if is_text(array.type):
        return np.array([number_or_nan(text) for text in array.to_pylist()], np.float64)
    return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def times(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return whole seconds since 1970, int64 [n], and a mask of unreadable values, bool [n].

    Times without a time zone are UTC. A missing time is `NO_TIME`.
    """
    array = plain(array)
    if pa.types.is_dictionary(array.type):
        array = decoded(array)
    missing = np.asarray(array.is_null(nan_is_null=True).to_numpy(zero_copy_only=False), bool)
    bad = np.zeros(len(array), bool)
    if pa.types.is_timestamp(array.type):
        found = _ints(array) // _UNITS[array.type.unit]
        bad = ~((found >= FIRST) & (found <= LAST))
    elif pa.types.is_date(array.type):
        found = _ints(array.cast(pa.date32(), safe=False)) * _DAY
        bad = ~((found >= FIRST) & (found <= LAST))
    elif is_number(array.type):
        values = numbers(array)
        bad = ~((values >= FIRST) & (values <= LAST))
        found = np.floor(np.where(bad, 0, values)).astype(np.int64)
        if pa.types.is_integer(array.type) and (dates := (values >= _DATES[0]) & (values <= _DATES[1])).any():
            found[dates], bad[dates] = _read(array.filter(pa.array(dates)).cast(pa.string()))
    else:
        coded = texts(array).dictionary_encode()
        distinct, unread = _read(coded.dictionary)
        codes = coded.indices.fill_null(0).to_numpy(zero_copy_only=False)
        missing = np.asarray(coded.indices.is_null().to_numpy(zero_copy_only=False), bool)
        found, bad = np.zeros(len(array), np.int64), missing
        if len(distinct):
            found, bad = distinct[codes], unread[codes]
    return np.where(missing, NO_TIME, found), bad & ~missing


def chosen(array: pa.Array | None, mask: np.ndarray) -> pa.Array | None:
    """Return the rows of a column for which `mask` is true."""
    return None if array is None else array.filter(pa.array(mask))


def cells(array: pa.Array) -> list[object]:
    """Return values for `TrackParser`, with None for NaN, and bytes preferred to paths."""
    return [_cell(value) for value in plain(array).to_pylist()]


def _cell(value: object) -> object:
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, dict):
        return value["path"] if value["bytes"] is None else value["bytes"]
    return value


def _read(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    read = [to_seconds(text) for text in values.to_pylist()]
    return np.array([0 if value is None else value for value in read], np.int64), np.array(
        [value is None for value in read], bool
    )


def _ints(array: pa.Array) -> np.ndarray:
    width = pa.int32() if pa.types.is_date32(array.type) else pa.int64()
    return np.asarray(array.view(width).fill_null(0).to_numpy(zero_copy_only=False), np.int64)


def _whole(array: pa.Array, where: Callable[[int], str], column: str) -> pa.Array:
    """Return integers, which pandas stores as floats if a value is missing."""
    values = array.cast(pa.float64())
    array = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    # two whole numbers from 2^53 on can be the same float
    broken = pc.or_(pc.not_equal(pc.floor(array), array), pc.greater_equal(pc.abs(array), 2.0**53)).fill_null(False)
    if pc.any(broken).as_py():
        row = int(np.flatnonzero(broken.to_numpy(zero_copy_only=False))[0])
        raise InputError(
            f"{where(row)}: {column!r} is {array[row].as_py()!r} and must be text or a whole number within ±2^53 for an"
            " id"
        )
    return array.cast(pa.int64())

"""Hashes of column values, equal for equal values in any batch of a table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.catalogue.readers.tables import column_types

MIXER = np.uint64(0x9E3779B97F4A7C15)


def value_hashes(array: pa.Array) -> np.ndarray:
    """Return a hash of each value, uint64 [n], and 0 for a missing value (null, NaN, empty text or empty list).

    Texts are stripped, as in all tables. The hashes do not depend on the process or on the encoding of the column.
    """
    array = column_types.plain(array)
    kind = array.type
    if pa.types.is_dictionary(kind):
        if len(array.dictionary) > len(array):  # that of a whole Parquet column, of which this is one batch
            return value_hashes(column_types.decoded(array))
        return _by_code(value_hashes(array.dictionary), array)
    if pa.types.is_null(kind):
        return np.zeros(len(array), np.uint64)
    if pa.types.is_struct(kind):  # a file as bytes or path
        content, path = (array.field(name) for name in ("bytes", "path"))
        return value_hashes(pc.coalesce(content.cast(pa.large_binary()), path.cast(pa.large_binary())))
    if column_types.is_list(kind):
        return _list_hashes(array)
    if column_types.is_text(kind):
        coded = column_types.texts(array).dictionary_encode()
    elif column_types.is_bytes(kind):
        coded = array.dictionary_encode()
    else:
        values = array if pa.types.is_integer(kind) else array.cast(pa.float64(), safe=False)
        missing = np.asarray(values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False), bool)
        return np.where(missing, np.uint64(0), _hashed(values.fill_null(0).to_numpy(zero_copy_only=False)))
    return _by_code(_hashed(coded.dictionary.to_numpy(zero_copy_only=False)), coded)


def mixed(*columns: np.ndarray) -> np.ndarray:
    """Return a hash of each row of several hash columns, uint64 [n]."""
    total = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        total = (total ^ column) * MIXER
        total ^= total >> np.uint64(32)
    return total


def _by_code(hashes: np.ndarray, coded: pa.DictionaryArray) -> np.ndarray:
    """Return the hashes of a dictionary's values by row."""
    codes = coded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return np.append(hashes, np.uint64(0))[codes]


def _list_hashes(array: pa.Array) -> np.ndarray:
    lengths = np.asarray(pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    if array.null_count:  # an array of fixed-size lists would keep the values of its null lists
        array = array.filter(array.is_valid())
    found, full = np.zeros(len(lengths), np.uint64), np.flatnonzero(lengths)
    if len(full):
        starts = np.cumsum(lengths)[full] - lengths[full]
        places = np.arange(int(lengths.sum())) - np.repeat(starts, lengths[full])
        values = mixed(value_hashes(array.flatten()), places.astype(np.uint64))
        found[full] = np.maximum(np.add.reduceat(values, starts), np.uint64(1))
    return found


def _hashed(values: np.ndarray) -> np.ndarray:
    """Return hashes of texts, bytes or numbers, uint64 [n], never 0."""
    from pandas.util import hash_array

    return np.maximum(hash_array(values, categorize=False), np.uint64(1))

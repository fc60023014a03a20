"""Hashes of column values, equal for equal values in any batch of a table.

Texts are hashed by Python, which is fast, but gives different hashes in each process. Use the hashes only to compare
values within a process. The upper half of `playlist_hashes` is the same in every process, because it selects a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.catalogue.readers.tables import column_types

MIXER = np.uint64(0x9E3779B97F4A7C15)
HALF = np.uint64(32)


def value_hashes(array: pa.Array) -> np.ndarray:
    """Return a hash of each value, uint64 [n], and 0 for a missing value (null, NaN, empty text or empty list).

    Texts are stripped, as in all tables.
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
        content, path = (array.field(name).cast(pa.large_binary()) for name in ("bytes", "path"))
        return value_hashes(pc.coalesce(content, path))
    if column_types.is_list(kind):
        return _list_hashes(array)
    if column_types.is_text(kind) or column_types.is_bytes(kind):
        coded = (column_types.texts(array) if column_types.is_text(kind) else array).dictionary_encode()
        return _by_code(text_hashes(coded.dictionary.to_pylist()), coded)
    values = array if pa.types.is_integer(kind) else array.cast(pa.float64(), safe=False)
    missing = np.asarray(values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False), bool)
    numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
    numbers = numbers.astype(np.int64) if pa.types.is_integer(kind) else numbers + 0.0  # -0.0 is 0.0
    return np.where(missing, np.uint64(0), np.maximum(mixed(numbers.view(np.uint64)), np.uint64(1)))


def text_hashes(values: Sequence[str | bytes]) -> np.ndarray:
    """Return the `text_hash` of each text, uint64 [n]."""
    return np.fromiter(map(text_hash, values), np.int64, len(values)).view(np.uint64)


def text_hash(value: str | bytes) -> int:
    """Return the hash of a stripped text, and 0 for an empty text. Case and repeated spaces do not count."""
    if not value or isinstance(value, bytes):
        return hash(value) if value else 0
    folded = value.casefold()
    return hash(" ".join(folded.split()) if "  " in folded else folded)


def playlist_hashes(ids: Sequence[str] | pa.DictionaryArray) -> np.ndarray:
    """Return a hash of each playlist id, uint64 [n], and 0 for null. The upper half is the same in every process."""
    if isinstance(ids, pa.DictionaryArray):
        if len(ids.dictionary) > len(ids):
            ids = column_types.decoded(ids).dictionary_encode()
        return _by_code(playlist_hashes(ids.dictionary.to_pylist()), ids)
    places: dict[str, int] = {}
    rows = [places.setdefault(name, len(places)) for name in ids]
    stable = mixed(np.fromiter((crc32(name.encode()) for name in places), np.uint64, len(places)))
    names = np.fromiter(map(hash, places), np.int64, len(places)).view(np.uint64)
    hashes = stable >> HALF << HALF | names >> HALF
    return hashes[rows]


def mixed(*columns: np.ndarray) -> np.ndarray:
    """Return a hash of each row of several hash columns, uint64 [n]."""
    total = np.full(len(columns[0]), MIXER)
    for column in columns:
        total = (total ^ column) * MIXER
        total ^= total >> HALF
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

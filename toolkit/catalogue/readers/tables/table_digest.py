"""Hash of table values that does not depend on chunks, padding or encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.catalogue.readers.tables import column_types

SIZE = 16
ROWS = 1 << 16  # rows that are hashed at once


def table_digest(table: pa.Table) -> str:
    """Return the BLAKE2b hash of column names and values in order, as 32 hex digits.

    Text gives the same hash for every type (string, large_string, view or dictionary), but numbers do not. A missing
    value differs from an empty text and from NaN.
    """
    whole = hashlib.blake2b(digest_size=SIZE)
    for name in table.schema.names:
        whole.update(f"{len(name)} {name}".encode())
        whole.update(column_digest(table.column(name)))
    whole.update(table.num_rows.to_bytes(8, "little"))
    return whole.hexdigest()


def column_digest(column: pa.ChunkedArray) -> bytes:
    """Return the BLAKE2b hash of one column."""
    streams: dict[str, hashlib.blake2b] = {}
    for start in range(0, max(len(column), 1), ROWS):
        for chunk in column.slice(start, ROWS).chunks:
            # each buffer has its own hash: the result does not depend on where chunks end
            for path, data in _streams(chunk, ""):
                streams.setdefault(path, hashlib.blake2b(digest_size=SIZE)).update(data)
    whole = hashlib.blake2b(digest_size=SIZE)
    for path in sorted(streams):
        whole.update(path.encode() + b"\0" + streams[path].digest())
    return whole.digest()


def _streams(array: pa.Array, path: str) -> Iterator[tuple[str, memoryview | bytes]]:
    """Yield validity, lengths and values of an array under names that include the type."""
    array = column_types.plain(array)
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield from _streams(column_types.decoded(array), path)
        return
    yield f"{path}there", _bytes(array.is_valid().to_numpy(zero_copy_only=False))
    if column_types.is_text(kind) or column_types.is_bytes(kind) or pa.types.is_fixed_size_binary(kind):
        flat = array.cast(pa.large_binary()).fill_null(b"")
        lengths = np.asarray(pc.binary_length(flat).to_numpy(zero_copy_only=False), np.int64)
        yield f"{path}text-lengths" if column_types.is_text(kind) else f"{path}bytes-lengths", _bytes(lengths)
        data, first = flat.buffers()[2], int(np.frombuffer(flat.buffers()[1], np.int64)[flat.offset])
        yield f"{path}content", memoryview(data)[first : first + int(lengths.sum())] if data is not None else b""
    elif column_types.is_list(kind):
        yield (
            f"{path}lengths",
            _bytes(np.asarray(pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False), np.int64)),
        )
        yield from _streams(array.flatten(), f"{path}list.")
    elif pa.types.is_struct(kind):
        for field, child in zip(kind, array.flatten(), strict=True):
            yield from _streams(child, f"{path}{field.name}.")
    elif not pa.types.is_null(kind):
        yield f"{path}{kind}", _values(array)


def _values(array: pa.Array) -> memoryview | bytes:
    """Return numbers, booleans and times as bytes, and other types, such as decimals, as text."""
    kind = array.type
    if pa.types.is_floating(kind):
        values = array.fill_null(0).to_numpy(zero_copy_only=False)
        return _bytes(np.where(np.isnan(values), np.array(np.nan, values.dtype), values))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return _bytes(array.fill_null(0 if pa.types.is_integer(kind) else False).to_numpy(zero_copy_only=False))
    if pa.types.is_temporal(kind) and kind.bit_width in (32, 64):
        return _bytes(
            array.view(pa.int32() if kind.bit_width == 32 else pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        )
    return "\0".join(map(repr, array.to_pylist())).encode() + b"\0"


def _bytes(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values).tobytes()

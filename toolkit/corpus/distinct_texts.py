"""Functions of a column of texts that are called once per distinct text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BLOCK = 2**16  # distinct texts that are Python objects at once


def mapped(
    column: pa.ChunkedArray | pa.Array, function: Callable[[str], object], to: pa.DataType | None = None
) -> pa.Array:
    """Return `function` of each text, an Arrow array of type `to` (default: string). Null remains null."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = whole.cast(pa.string()).dictionary_encode()
    kind = to or pa.string()
    parts = [
        pa.array(map(function, encoded.dictionary.slice(start, BLOCK).to_pylist()), kind)
        for start in range(0, len(encoded.dictionary), BLOCK)
    ]
    return (pa.concat_arrays(parts) if parts else pa.nulls(0, kind)).take(encoded.indices)


def numbered(texts: pa.Array) -> np.ndarray:
    """Return int64 [n], with equal numbers for equal texts, from 0 in order of appearance, and -1 for null."""
    indices = texts.dictionary_encode().indices
    return pc.fill_null(indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)

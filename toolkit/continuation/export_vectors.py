"""Export of track vectors to Parquet, safetensors or NumPy files for other programs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from toolkit.errors import InputError
from toolkit.files import write_bytes

FORMATS = (".parquet", ".safetensors", ".npz")


def write(path: Path, ids: Sequence[str], matrix: np.ndarray, names: pa.Table | None = None) -> None:
    """Write one vector for each track, atomically.

    - path: must end in `.parquet`, `.safetensors` or `.npz`.
    - ids: n external ids.
    - matrix: float32 [n, d].
    - names: id, title and artist of tracks; a Parquet file has the titles and artists as columns.

    A `.parquet` file has the columns id, title, artist and vector. `.safetensors` has the tensors `matrix`, `ids`
    (UTF-8) and `id_offsets`. `.npz` has the arrays `ids` and `matrix`. Raises `InputError` for any other ending.
    """
    rows = np.ascontiguousarray(matrix, np.float32)
    if path.suffix == ".parquet":
        write_bytes(path, _parquet(ids, rows, names))
    elif path.suffix == ".safetensors":
        _safetensors(path, ids, rows)
    elif path.suffix == ".npz":
        buffer = io.BytesIO()
        np.savez(buffer, ids=np.asarray(ids, dtype=str), matrix=rows)
        write_bytes(path, buffer.getvalue())
    else:
        raise InputError(f"{path} must have a known file ending: use one of {', '.join(FORMATS)}")


def _parquet(ids: Sequence[str], rows: np.ndarray, names: pa.Table | None) -> bytes:
    columns: dict[str, pa.Array | pa.ChunkedArray] = {"id": pa.array(ids, pa.string())}
    if names is not None:
        places = pc.index_in(columns["id"], value_set=names["id"].combine_chunks().cast(pa.string()))
        columns |= {name: names[name].take(places) for name in ("title", "artist") if name in names.column_names}
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def _safetensors(path: Path, ids: Sequence[str], rows: np.ndarray) -> None:
    from toolkit.encoders.contract.content_hash import string_bytes
    from toolkit.encoders.contract.encoder_files import write_tensors

    text, offsets = string_bytes(ids)
    write_tensors(path, {"matrix": rows, "ids": text, "id_offsets": offsets}, {})

"""Reader of safetensors files that may come from a stranger.

The file is read and not memory-mapped: a mapped file that another process shortens ends the process with a bus error.
No more memory is allocated than the file has bytes. Format: https://huggingface.co/docs/safetensors, section Format.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from toolkit.files import regular

LONGEST = 100_000_000
"""Most bytes of a header, as in the safetensors library."""

DTYPES = {
    **{"BOOL": np.bool_, "U8": np.uint8, "I8": np.int8, "I16": np.int16, "U16": np.uint16, "F16": np.float16},
    **{"I32": np.int32, "U32": np.uint32, "F32": np.float32, "I64": np.int64, "U64": np.uint64, "F64": np.float64},
    "BF16": np.uint16,
}
"""NumPy types by the names in the file. NumPy has no bfloat16, whose bits are read as integers."""


class _Entry(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


@dataclass(frozen=True)
class TensorFile:
    """Content of a safetensors file.

    - arrays: arrays by name; bfloat16 as uint16.
    - dtypes: types by name, as in the file.
    - metadata: texts by key.
    """

    arrays: dict[str, np.ndarray]
    dtypes: dict[str, str]
    metadata: dict[str, str]


def read_file(path: Path) -> TensorFile:
    """Read a safetensors file. Raises `ValueError` for an invalid file, and `OSError` for everything but a file."""
    with regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else LONGEST + 1
        if length > min(LONGEST, size - 8):
            raise ValueError("its header is longer than the file")
        try:
            header = msgspec.json.decode(file.read(length))
            metadata = msgspec.convert(header.pop("__metadata__", {}), dict[str, str])
            entries = msgspec.convert(header, dict[str, _Entry])
        except (msgspec.MsgspecError, UnicodeDecodeError, AttributeError, RecursionError) as error:
            raise ValueError(f"its header is invalid: {error}") from None
        arrays, at = {}, 0
        for name, entry in sorted(entries.items(), key=lambda pair: pair[1].data_offsets):
            arrays[name], at = _empty(name, entry, at, size - 8 - length), entry.data_offsets[1]
            view = arrays[name].reshape(-1).view(np.uint8).data
            while len(view):
                if not (count := file.readinto(view)):
                    raise ValueError(f"it ends inside {name}")
                view = view[count:]
        if at != size - 8 - length:
            raise ValueError(f"it has {size - 8 - length - at} bytes after its tensors")
        return TensorFile(arrays, {name: entry.dtype for name, entry in entries.items()}, metadata)


def _empty(name: str, entry: _Entry, at: int, size: int) -> np.ndarray:
    """Return an array for a tensor. at: end of the tensor before; size: bytes of all tensors."""
    begin, end = entry.data_offsets
    if entry.dtype not in DTYPES:
        raise ValueError(f"{name} has the type {entry.dtype}, which is not supported")
    count = 1
    for length in entry.shape:
        if length < 0 or length > size:
            raise ValueError(f"{name} has the shape {entry.shape}, which the file does not hold")
        count *= length
    if begin != at or end > size or end - begin != count * np.dtype(DTYPES[entry.dtype]).itemsize:
        raise ValueError(f"{name} has the shape {entry.shape} but {end - begin} bytes from {begin} of {size}")
    return np.empty(entry.shape, DTYPES[entry.dtype])

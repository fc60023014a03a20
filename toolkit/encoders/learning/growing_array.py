"""Growing array in memory or on disk."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np


class GrowingArray:
    """Concatenation of arrays that differ only in length.

    - workdir: folder for a temporary file with the arrays, which is deleted when the process ends. Without a folder,
      the arrays stay in memory.
    """

    def __init__(self, workdir: Path | None) -> None:
        self.parts: list[np.ndarray] = []
        self.length = 0
        if workdir is not None:
            workdir.mkdir(parents=True, exist_ok=True)
        self.file = None if workdir is None else tempfile.TemporaryFile(dir=workdir)  # noqa: SIM115 (mapped later)

    def append(self, part: np.ndarray) -> None:
        self.length += len(part)
        if self.file is None or not self.parts:
            self.parts.append(part)
        if self.file is not None:
            self.file.write(np.ascontiguousarray(part).data)

    def whole(self) -> np.ndarray:
        """Return all parts as one array, memory-mapped if the parts are in a file."""
        if self.file is None:
            return np.concatenate(self.parts)
        self.file.flush()
        return np.memmap(self.file, self.parts[0].dtype, "r", shape=(self.length, *self.parts[0].shape[1:]))

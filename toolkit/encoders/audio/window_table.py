"""An array that grows, in memory or on disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np


class WindowTable:
    """Arrays that differ only in their length, one after the other: in memory, or in a file in `workdir`."""

    def __init__(self, workdir: Path | None) -> None:
        self.file = None
        self.parts: list[np.ndarray] = []
        self.shape: tuple[int, ...] = (0,)
        if workdir is not None:
            workdir.mkdir(parents=True, exist_ok=True)
            handle, self.path = tempfile.mkstemp(dir=workdir, suffix=".windows")
            self.file = os.fdopen(handle, "wb")

    def append(self, part: np.ndarray) -> None:
        self.shape = (self.shape[0] + len(part), *part.shape[1:])
        if self.file is None:
            self.parts.append(part)
        else:
            self.file.write(np.ascontiguousarray(part, np.float32).data)

    def whole(self) -> np.ndarray:
        """All parts as one array, float32 [sum of the lengths, …]. The file is deleted when the array is."""
        if self.file is None:
            return np.concatenate(self.parts)
        self.file.close()
        table = np.memmap(self.path, np.float32, "r", shape=self.shape)
        if os.name == "posix":
            os.unlink(self.path)
        return table

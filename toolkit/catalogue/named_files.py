"""Files that records name, such as covers and audio files, with the content that was read.

They are part of the data: a changed cover is another cover. Their names are known only after the records are read, so
the reader lists them. A cached result is valid while all of them are unchanged.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from toolkit.files import FileState, changed_while_read, digest, file_state

MISSING = ""
"""Hash of a file that did not exist."""


class NamedFile(msgspec.Struct, frozen=True, array_like=True):
    """File as it was when a record named it.

    - sha256: hash of the content, `MISSING`, or None for a file that was not read, whose existence alone counts.
    - state: state of the file, or None if a later change might not change the state.
    """

    sha256: str | None
    bytes: int = 0
    state: FileState | None = None


class NamedFiles:
    """List of the files that records name. A reader of tables fills it while it reads.

    Memory grows with the number of distinct files, by about 400 bytes each.
    """

    def __init__(self, files: dict[str, NamedFile] | None = None) -> None:
        self.files = files or {}

    def __len__(self) -> int:
        return len(self.files)

    @property
    def size(self) -> int:
        """Return the number of bytes of all files that were read."""
        return sum(file.bytes for file in self.files.values())

    def exists(self, path: Path) -> bool:
        """Return whether a file exists, and list it."""
        known = self.files.get(str(path))
        there = os.path.isfile(path)
        if known is None or (known.sha256 == MISSING) is there:
            self.files[str(path)] = NamedFile(None if there else MISSING)
        return there

    def read(self, path: Path, load: Callable[[Path], bytes] = Path.read_bytes) -> bytes:
        """Return the content that `load` reads from a file, and list it. Errors of `load` pass through."""
        state, data = file_state(path), load(path)
        self._add(path, state, hashlib.sha256(data).hexdigest())
        return data

    def store(self, path: Path, put: Callable[[Path], str]) -> str:
        """Return the result of `put`, which stores a file under the SHA-256 of its content, and list the file."""
        state = file_state(path)
        key = put(path)
        self._add(path, state, key)
        return key

    def _add(self, path: Path, state: FileState | None, sha256: str) -> None:
        known = self.files.get(str(path))
        if known is not None and known.sha256 not in (None, MISSING, sha256):
            raise changed_while_read(path)
        settled = state if state is not None and state.settled else None
        self.files[str(path)] = NamedFile(sha256, 0 if state is None else state.size, settled)

    def update(self, other: NamedFiles) -> None:
        """Add the files of another list, which read them later."""
        for name, file in other.files.items():
            known = self.files.get(name)
            if known is not None and None not in (known.sha256, file.sha256) and known.sha256 != file.sha256:
                raise changed_while_read(name)
            self.files[name] = file if known is None or known.sha256 is None else known

    def content(self, base: Path) -> str:
        """Return a hash of names and contents, or "" without files. base: folder to which names are relative."""
        listed = sorted((_relative(name, base), file.sha256) for name, file in self.files.items())
        return digest(listed) if listed else ""

    def changed(self) -> str | None:
        """Return the first file that is not the same, or None. Files with another state are read.

        Files that were read again and are the same are listed with their new states.
        """
        for name, file in self.files.items():
            path = Path(name)
            state = file_state(path) if os.path.isfile(path) else None
            if state is None or file.sha256 in (None, MISSING):
                if (state is None) is not (file.sha256 == MISSING):
                    return name
            elif state != file.state:
                try:
                    with path.open("rb") as opened:
                        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
                except OSError:
                    return name
                if sha256 != file.sha256:
                    return name
                self.files[name] = NamedFile(sha256, file.bytes, state if state.settled else None)
        return None

    def encode(self, base: Path) -> bytes:
        """Return the list as JSON, with names relative to `base`."""
        return msgspec.json.encode({_relative(name, base): file for name, file in self.files.items()})

    @classmethod
    def decode(cls, data: bytes, base: Path) -> NamedFiles:
        """Return a list from the result of `encode`. Raises `msgspec.DecodeError` for other bytes."""
        files = msgspec.json.decode(data, type=dict[str, NamedFile])
        return cls({str(base / name): file for name, file in files.items()})


def _relative(name: str, base: Path) -> str:
    path = Path(name)
    return str(path.relative_to(base)) if path.is_relative_to(base) else name

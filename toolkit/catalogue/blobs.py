"""Content-addressed storage of covers and audio, with SHA-256 keys."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, overload

from toolkit.errors import InputError, SegueError
from toolkit.files import changed_while_read

_KEY = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


class BlobStore:
    """Store of immutable files under `root`, named by content hash.

    A blob is written to a temporary file and then renamed, so a kill or a full disk leaves no partial blob.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def path(self, key: str) -> Path:
        """Return the path of a blob, which may not exist. Raises `InputError` for an invalid key."""
        if not _KEY.fullmatch(key):
            raise InputError(f"blob key {key!r} must be a SHA-256 with 64 hex digits")
        return self.root / key[:2] / key[2:4] / key

    def __contains__(self, key: str) -> bool:
        return self.path(key).is_file()

    def get(self, key: str) -> bytes:
        """Return the content of a blob. Raises `InputError` for an unknown key and for a damaged blob."""
        path = self.existing(key)
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != key:
            raise InputError(f"blob {key} is damaged: delete {path}, then collect or read the data again")
        return data

    def existing(self, key: str) -> Path:
        """Return the path of a blob. Raises `InputError` for an unknown key."""
        if key not in self:
            raise InputError(f"blob {key} is missing in {self.root}: collect or read the data again")
        return self.path(key)

    def put(self, data: bytes) -> str:
        """Store the content, unless it is already stored, and return the key."""
        key = hashlib.sha256(data).hexdigest()
        if key not in self:
            self._write(key, [data])
        return key

    def put_file(self, path: Path) -> str:
        """Store the content of a file without loading it into memory, and return the key.

        Raises `InputError` for a file that is missing or not readable.
        """
        try:
            with path.open("rb") as file:
                key = hashlib.file_digest(file, "sha256").hexdigest()
                if key not in self:
                    file.seek(0)
                    self._write(key, _checked(file, key, path))
        except OSError as error:
            raise InputError(
                f"{path} cannot be read ({error.strerror or error}): correct path or permissions"
            ) from None
        return key

    def _write(self, key: str, chunks: Iterable[bytes]) -> None:
        target, temporary = self.path(key), ""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as file:
                temporary = file.name
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException as error:
            if temporary:
                Path(temporary).unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise SegueError(
                    f"blob {key[:12]}… cannot be written to {self.root} ({error.strerror or error}): free disk space"
                ) from None
            raise


def _checked(file: IO[bytes], key: str, path: Path) -> Iterator[bytes]:
    """Yield the content of a file. Raises `DataError` at the end if its hash is not `key`."""
    hasher = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        hasher.update(chunk)
        yield chunk
    if hasher.hexdigest() != key:
        raise changed_while_read(path)


@dataclass(frozen=True, eq=False)
class BlobValues(Sequence[bytes]):
    """Lazy sequence of blob contents, which reads a blob when it is indexed."""

    store: BlobStore
    keys: Sequence[str]

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> BlobValues: ...
    def __getitem__(self, index: int | slice) -> bytes | BlobValues:
        keys = self.keys[index]
        return self.store.get(keys) if isinstance(keys, str) else BlobValues(self.store, keys)

    def path(self, index: int) -> Path:
        """Return the path of a blob without reading it. Raises `InputError` for a missing blob."""
        return self.store.existing(self.keys[index])

    def paths(self) -> list[Path]:
        """Return the paths of the blobs."""
        return [self.store.path(key) for key in self.keys]

"""Atomic writing of files and folders, locks released at process exit, and detection of a full disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from toolkit.errors import DataError, RunDirectoryError

POLL_SECONDS = 0.01
"""Seconds between attempts to acquire a held lock."""
HOLDER_AT = 1
"""Where a lock file has the number of its process: Windows lets no other process read the byte before, which is locked.
"""


def cache_folder() -> Path:
    """Return the folder for results shared by runs: `SEGUE_CACHE`, otherwise `runs/.cache` in the current folder."""
    return Path(os.environ.get("SEGUE_CACHE") or Path("runs") / ".cache")


class FileState(NamedTuple):
    """Properties of a file that differ after every change of its content.

    A program may write the same number of bytes and set the old time of modification. It cannot set the time of the
    last change (`ctime_ns`), which the operating system keeps.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @property
    def settled(self) -> bool:
        """Return whether a change from now on would change the state: see `TICK_NS`."""
        return max(self.mtime_ns, self.ctime_ns) < time.time_ns() - TICK_NS


TICK_NS = 2_000_000_000
"""Longest tick, in nanoseconds, of the clock by which a file system keeps times (FAT: 2 s). Two changes within a tick
have the same time."""

REMEMBERED = 256
"""Number of hashes that are remembered in a process."""

_HASHES: dict[str, Any] = {}


def file_state(path: Path) -> FileState | None:
    """Return the state of a file, or None if it is missing."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return FileState(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def hash_once(paths: Sequence[Path], compute: Callable[[], Any], *about: object) -> Any:
    """Return the hash of files that `compute` reads, remembered while the states of the files are the same.

    Compare the hash from before a reading with the hash from after it: the second one is free for unchanged files.

    - about: everything besides the files that the hash depends on.
    """
    before = [file_state(path) for path in paths]
    key = digest([[str(path.absolute()) for path in paths], before, about])
    if key not in _HASHES:
        value = compute()
        if not all(state is not None and state.settled for state in before):
            return value
        if before != [file_state(path) for path in paths]:
            return value
        while len(_HASHES) >= REMEMBERED:
            _HASHES.pop(next(iter(_HASHES)))
        _HASHES[key] = value
    return _HASHES[key]


def changed_while_read(path: object) -> DataError:
    """Return the error for a file whose content is not the content that was hashed."""
    return DataError(f"{path} changed while it was read: wait until it is complete, then run the same command again")


def derived_path(kind: str, suffix: str, *sources: Path, version: int) -> Path:
    """Return the cache path for data derived from files: `kind` and a hash of the paths and states of the files."""
    about = [(str(source.resolve()), file_state(source)) for source in sources]
    return cache_folder() / kind / f"{digest([about, version])}{suffix}"


def digest(value: object) -> str:
    """Return a hash of a JSON-compatible value, independent of the order of keys."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`. At the end the file is synced to disk and replaces `path`.

    Readers see either the old or the new file, even after a full disk or a power cut. After an error `path` is
    unchanged. Several processes may replace the same file, and the last process wins.

    Raises `IsADirectoryError` if `path` is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically with `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically with `replacing`. Raises `ValueError` for NaN and infinity."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_regular(path: Path, limit: int) -> bytes:
    """Return the content of a small file, up to `limit + 1` bytes, whatever the file system says about its size.

    A longer result means that the file exceeds the limit. Raises `OSError` for a missing or unreadable file, a folder,
    a device and a pipe, which might never end. Opening does not wait for the other end of a pipe.
    """
    with regular(path) as file:
        return file.read(limit + 1)


@contextlib.contextmanager
def regular(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading. Raises `OSError` for everything but a regular file, without waiting for a pipe."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        yield file


def read_json(path: Path) -> Any:
    """Read JSON. Raises `RunDirectoryError` if the file is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunDirectoryError(f"{path} does not exist: run the recipe to completion first") from None
    except (ValueError, OSError) as error:
        raise RunDirectoryError(
            f"{path} is damaged ({error}): delete the file and run the same command again"
        ) from None


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder next to `path`. At the end it is synced to disk and replaces `path`."""
    temporary = path.with_name(f".{path.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    yield temporary
    for file in temporary.rglob("*"):
        _sync(file)
    shutil.rmtree(path, ignore_errors=True)
    os.replace(temporary, path)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[int | None]:
    """Hold the lock file `path`. Yields None, or with `wait=False` the number of the process that holds the lock.

    The operating system releases the lock when the process exits or is killed. Two calls in one process also exclude
    each other.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=-1 if wait else 0, poll_interval=POLL_SECONDS, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        with path.open("rb") as file:
            file.seek(HOLDER_AT)
            yield int(file.read().strip() or 0)
        return
    try:
        with path.open("r+b") as file:
            file.truncate(HOLDER_AT)
            file.seek(HOLDER_AT)
            file.write(f"{os.getpid()}\n".encode())
        yield None
    finally:
        lock.release()


def disk_full(error: BaseException) -> bool:
    """Return whether an error from any library means that the disk or a quota is full."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    text = str(error)
    return any(
        sign in text
        for sign in ("No space left on device", "disk is full", "File too large", "requested and 0 written")
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

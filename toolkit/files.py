"""Atomic writing of files and folders, locks released at process exit, and detection of a full disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from toolkit.errors import DataError, InputError, RunDirectoryError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
"""Flag by which a link is not opened."""
TEMPORARY = re.compile(r"\..+\.segue_[0-9a-f]{8}\.part", re.DOTALL)
"""Names of unfinished files and folders."""
LONGEST_JSON = 256 << 20
"""Most bytes of a JSON file. The largest file of a run, the map of tracks, has a few megabytes."""
_LOOKED_IN: set[str] = set()
"""Folders in which this process has deleted unfinished files of others."""
POLL_SECONDS = 0.01
"""Seconds between attempts to acquire a held lock."""
HOLDER_AT = 1
"""Where a lock file has the number of its process: Windows lets no other process read the byte before, which is locked.
"""


def cache_folder() -> Path:
    """Return the folder for results shared by runs: `SEGUE_CACHE`, otherwise `runs/.cache` in the current folder."""
    return in_utf8(Path(os.environ.get("SEGUE_CACHE") or Path("runs") / ".cache"))


def in_utf8(path: Path) -> Path:
    """Return a path. Raises `InputError` if its bytes are not UTF-8, because JSON and YAML cannot hold it."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise InputError(f"{path} must be a path in UTF-8: rename the folder or file") from None
    return path


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
    unchanged. Several processes may replace the same file, and the last process wins. A link at `path` is replaced and
    not followed. The temporary file has a random name and is created empty, so that no link can take its place. A
    later call in the same folder deletes the temporary files of killed processes.

    Raises `IsADirectoryError` if `path` is a folder.
    """
    if path.is_dir() and not path.is_symlink():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with _temporary(path, lambda new: os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | NOFOLLOW, 0o666)) as temporary:
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
        data = file.read(limit + 1)
    if data is None:  # a system file that waits for data, such as /proc/kmsg
        raise OSError(errno.EAGAIN, "not a regular file", str(path))
    return data


@contextlib.contextmanager
def regular(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file for reading. Raises `OSError` for everything but a regular file, without waiting for a pipe."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        yield file


def parsed_json(path: Path) -> Any:
    """Return parsed JSON. Raises `OSError` or `ValueError`."""
    data = read_regular(path, LONGEST_JSON)
    if len(data) > LONGEST_JSON:
        raise ValueError(f"it is longer than {LONGEST_JSON:,} bytes")
    try:
        value = json.loads(data.decode("utf-8"), parse_float=_finite, parse_constant=_finite)
        if b"\\ud" in data.lower():  # half of a pair: text that cannot be written again
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is not a finite number")
    return number


def read_json(path: Path) -> Any:
    """Read JSON. Raises `RunDirectoryError` if the file is missing or damaged."""
    try:
        return parsed_json(path)
    except FileNotFoundError:
        raise RunDirectoryError(f"{path} does not exist: run the recipe to completion first") from None
    except (ValueError, OSError) as error:
        raise RunDirectoryError(
            f"{path} is damaged ({error}): delete the file and run the same command again"
        ) from None


def open_to_append(path: Path) -> IO[str]:
    """Open a text file to append lines. Raises `OSError` if `path` is a link, which could lead anywhere."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | NOFOLLOW, 0o666)
    return open(descriptor, "a", encoding="utf-8", errors="backslashreplace")


def check_links(root: Path) -> None:
    """Raise `RunDirectoryError` for a link in a run that leads outside, and for anything but files and folders.

    A run from a stranger could otherwise write to your files, or show them in its report. `root` itself may be a link.
    """
    inside = os.path.realpath(root)
    for folder, folders, files in os.walk(inside):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                target = os.path.realpath(path)
                if not target.startswith(inside + os.sep) or not os.path.exists(target):
                    raise RunDirectoryError(
                        f"{path} must not be a link to {target}, outside of the run: replace it by that file"
                    )
            elif name in files and not stat.S_ISREG(os.lstat(path).st_mode):
                raise RunDirectoryError(f"{path} must be a file, not a pipe, socket or device: delete it")


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder next to `path`. At the end it is synced to disk and replaces `path`.

    A link at `path` is replaced and not followed. After an error the temporary folder is deleted. The folders of killed
    processes are deleted by a later call.
    """
    with _temporary(path, _new_folder) as temporary:
        try:
            yield temporary
            for file in temporary.rglob("*"):
                _sync(file)
            if path.is_symlink():
                path.unlink()
            shutil.rmtree(path, ignore_errors=True)
            os.replace(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def delete_unfinished(*folders: Path) -> None:
    """Delete temporary files and folders in `folders` whose processes ended before they were finished."""
    if fcntl is None:
        return
    for folder in folders:
        _LOOKED_IN.add(os.path.abspath(folder))
        try:
            found = [Path(folder, name) for name in os.listdir(folder) if TEMPORARY.fullmatch(name)]
        except OSError:  # a folder that may not be read, or is gone
            continue
        for path in found:
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | NOFOLLOW)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its process would hold the lock
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                finally:
                    os.close(descriptor)


@contextlib.contextmanager
def _temporary(path: Path, create: Callable[[Path], int | None]) -> Iterator[Path]:
    """Yield a new file or folder next to `path`, locked until the end or until the process is killed.

    - create: creates it, which fails if the name exists, and returns its descriptor.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.abspath(path.parent) not in _LOOKED_IN:
        delete_unfinished(path.parent)
    while True:
        temporary = path.with_name(f".{path.name}.segue_{secrets.token_hex(4)}.part")
        descriptor = create(temporary)
        try:
            if fcntl is not None and descriptor is not None:
                with contextlib.suppress(OSError):  # a file system without locks
                    fcntl.flock(descriptor, fcntl.LOCK_SH)
                if not _is_at(descriptor, temporary):
                    continue  # another process saw it before it was locked, and deleted it
            yield temporary
            return
        finally:
            if descriptor is not None:
                os.close(descriptor)


def _new_folder(path: Path) -> int | None:
    path.mkdir()
    return None if fcntl is None else os.open(path, os.O_RDONLY | NOFOLLOW)


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file or folder is still at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


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
        with regular(path) as file:
            file.seek(HOLDER_AT)
            yield int(file.read().strip() or 0)
        return
    try:
        with open(os.open(path, os.O_RDWR | NOFOLLOW), "r+b") as file:
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
    descriptor = os.open(path, os.O_RDONLY | NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

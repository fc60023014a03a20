"""Functions that open plain or gzipped user files and raise one-line errors."""

from __future__ import annotations

import gzip
import io
import mmap
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, TypeVar

import msgspec

from toolkit.catalogue.records import NamedPlaylist, PlaylistRecord, Record
from toolkit.errors import DataError, InputError

Encoding = Literal["auto", "utf-8", "utf-16", "latin-1"]
"""Of a text; auto is UTF-8, or UTF-16 if the file begins with its byte order mark."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

Bad = Callable[[str, str], None]  # `Reader.bad`: (where, why)

BROKEN_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Errors of msgspec for a text that is not JSON, or JSON of another shape; the last one for too deep nesting."""

R = TypeVar("R", bound=Record | NamedPlaylist)


def existing(path: Path) -> Path:
    """Return the path. Raises `InputError` for a missing path or a pipe, which cannot be read twice."""
    if not path.exists():
        raise InputError(f"{path} does not exist: correct the path")
    if not (path.is_file() or path.is_dir()):
        raise InputError(
            f"{path} must be a file or folder because the data is read more than once: save the data to a file"
        )
    return path


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Yield an open file, decompressed if the first bytes are a gzip header.

    Raises `InputError` for a missing or unreadable file, `DataError` for a damaged or truncated gzip file.
    """
    try:
        with existing(path).open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if zipped:
                with gzip.open(raw) as unzipped, io.BufferedReader(unzipped, 1 << 16) as file:
                    yield file
            else:
                yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} is a damaged or truncated gzip file ({error}): download or create the file again"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): correct path or permissions") from None


def read_bytes(path: Path) -> bytes:
    """Return the decompressed content of a small file."""
    with opened(path) as file:
        return file.read()


@contextmanager
def mapped(path: Path) -> Iterator[bytes | mmap.mmap]:
    """Yield the content of a file, memory-mapped if it is not compressed, inside the `with` block."""
    with opened(path) as file:
        plain = isinstance(file, io.BufferedReader) and not isinstance(file.raw, gzip.GzipFile)
        mappable = plain and path.stat().st_size
        yield mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if mappable else file.read()


def lines(path: Path, bad: Bad, encoding: Encoding | None = None) -> Iterator[str]:
    """Yield lines of a text file with line ends. A line that is not UTF-8 is a bad record and yields an empty line.

    - encoding: reader option `encoding`, or None for a reader without the option, which means `auto`.
    """
    cure = "set `options.encoding: latin-1` or save the file as UTF-8" if encoding else "save the file as UTF-8"
    with opened(path) as file:
        marked = file.read(2) in _UTF_16
        file.seek(0)
        if encoding in ("utf-16", "latin-1") or (marked and encoding != "utf-8"):
            yield from _decoded(path, file, encoding if encoding == "latin-1" else "utf-16")
            return
        for number, line in enumerate(file, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                bad(f"{path}, line {number}", f"is not UTF-8 ({error.reason} at byte {error.start}): {cure}")
                yield "\n"


def _decoded(path: Path, file: IO[bytes], encoding: str) -> Iterator[str]:
    """Yield lines in an encoding that cannot be read after an invalid character."""
    try:
        with io.TextIOWrapper(file, encoding=encoding, newline="\n") as text:
            yield from text
    except UnicodeError as error:
        raise DataError(
            f"{path} is not {encoding.upper()} ({error.args[-1]}): set options.encoding or save the file as UTF-8"
        ) from None


def head(path: Path, size: int = 2048) -> str:
    """Return the first characters of a file, or an empty text if the file cannot be read."""
    try:
        with existing(path).open("rb") as raw:
            start = raw.read(size)
        if start.startswith(b"\x1f\x8b"):
            # as far as possible: a truncated file has a format too
            start = zlib.decompressobj(31).decompress(start, size)
        return start.decode("utf-8", errors="replace")
    except (InputError, OSError, zlib.error):
        return ""


def has_ending(path: Path, *endings: str) -> bool:
    """Return whether a file name has one of the suffixes, ignoring case and `.gz`."""
    return path.is_file() and path.name.lower().removesuffix(".gz").endswith(endings)


def files_of(path: Path, *endings: str) -> list[Path]:
    """Return the file, or the sorted files with one of the suffixes in a folder at any depth.

    Raises `InputError` if there are none.
    """
    files = [path] if existing(path).is_file() else [file for file in files_below(path) if has_ending(file, *endings)]
    if not files:
        raise InputError(f"{path} must contain a {' or '.join(endings)} file: correct the path")
    return files


def files_below(folder: Path) -> list[Path]:
    """Return all files in a folder at any depth, sorted. Raises `InputError` for an unreadable subfolder."""
    files = (Path(place, name) for place, _, names in os.walk(folder, onerror=_raise_unreadable) for name in names)
    return sorted(file for file in files if file.is_file())


def is_file(path: Path) -> bool:
    """Return whether a path is a file, and False for a text that is too long for a file name."""
    return os.path.isfile(path)


def _raise_unreadable(error: OSError) -> None:
    raise InputError(
        f"{error.filename} cannot be read ({error.strerror}): allow reading it, or set `path` to a folder without it"
    )


def with_playlists(records: Iterator[R], path: Path) -> Iterator[R]:
    """Yield the records. Raises `DataError` at the end if there was no playlist."""
    playlists = 0
    for record in records:
        playlists += isinstance(record, PlaylistRecord | NamedPlaylist)
        yield record
    if not playlists:
        raise DataError(f"{path} must contain a playlist: correct the path or the reader options")


some = with_playlists  # its name in `segue.plugin`

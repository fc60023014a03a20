"""Opens the files of users, plain or gzipped, with one clear line for a broken one."""

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
    """The path itself. Raises `InputError` if nothing is there, or for a pipe, which cannot be read twice."""
    if not path.exists():
        raise InputError(f"{path} does not exist: correct the path")
    if not (path.is_file() or path.is_dir()):
        raise InputError(
            f"{path} must be a file or folder because the data is read more than once: save the data to a file"
        )
    return path


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unzipped if its first bytes are those of gzip.

    Raises `InputError` for a missing or unreadable file, `DataError` for a gzip that ends early or is damaged.
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
    """A whole file, unzipped; for formats with small files."""
    with opened(path) as file:
        return file.read()


@contextmanager
def mapped(path: Path) -> Iterator[bytes | mmap.mmap]:
    """A whole file like `read_bytes`, but mapped if it is not zipped. Only valid inside the `with` block."""
    with opened(path) as file:
        plain = isinstance(file, io.BufferedReader) and not isinstance(file.raw, gzip.GzipFile)
        mappable = plain and path.stat().st_size
        yield mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if mappable else file.read()


def lines(path: Path, bad: Bad, encoding: Encoding | None = None) -> Iterator[str]:
    """Lines of a text with their ends. A line that is not UTF-8 is a bad record, and yields an empty line.

    - encoding: the reader's option of that name; None, for a reader without the option, is `auto`.
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
    """Lines of a text in an encoding of which nothing can be read after a broken character."""
    try:
        with io.TextIOWrapper(file, encoding=encoding, newline="\n") as text:
            yield from text
    except UnicodeError as error:
        raise DataError(
            f"{path} is not {encoding.upper()} ({error.args[-1]}): set options.encoding or save the file as UTF-8"
        ) from None


def head(path: Path, size: int = 2048) -> str:
    """The first characters, to recognise a format; empty for a file that cannot be read."""
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
    """Whether a file's name has one of the endings, in any case, gzipped or not."""
    return path.is_file() and path.name.lower().removesuffix(".gz").endswith(endings)


def files_of(path: Path, *endings: str) -> list[Path]:
    """The file itself, or a folder's files with one of the endings at any depth, sorted.

    Raises `InputError` if there are none.
    """
    files = [path] if existing(path).is_file() else [file for file in files_below(path) if has_ending(file, *endings)]
    if not files:
        raise InputError(f"{path} must contain a {' or '.join(endings)} file: correct the path")
    return files


def files_below(folder: Path) -> list[Path]:
    """Every file of a folder at any depth, sorted. Raises `InputError` for a subfolder that may not be read."""
    files = (Path(place, name) for place, _, names in os.walk(folder, onerror=_raise_unreadable) for name in names)
    return sorted(file for file in files if file.is_file())


def is_file(path: Path) -> bool:
    """As `Path.is_file`, but False for a text that is too long for a name."""
    return os.path.isfile(path)


def _raise_unreadable(error: OSError) -> None:
    raise InputError(
        f"{error.filename} cannot be read ({error.strerror}): change permissions, move the folder or set `path`"
        " to another folder"
    )


def with_playlists(records: Iterator[R], path: Path) -> Iterator[R]:
    """The records. Raises `DataError` at the end if none of them was a playlist."""
    playlists = 0
    for record in records:
        playlists += isinstance(record, PlaylistRecord | NamedPlaylist)
        yield record
    if not playlists:
        raise DataError(f"{path} must contain a playlist: correct the path or the reader options")


some = with_playlists  # its name in `segue.plugin`

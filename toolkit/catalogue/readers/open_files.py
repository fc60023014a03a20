"""Opening what users hand in: plain or gzipped, and one clear line where it is broken."""

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
"""Of a text; auto is UTF-8, or UTF-16 where the file's first bytes say so."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

Bad = Callable[[str, str], None]
"""`Reader.bad`: (where, why)."""

BROKEN_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a text that is not JSON, or JSON of another shape; the last for one that is nested too deep."""

R = TypeVar("R", bound=Record | NamedPlaylist)


def existing(path: Path) -> Path:
    """The path itself. Raises `InputError` where there is nothing, or what can be read once at most and may never end."""
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if not (path.is_file() or path.is_dir()):
        raise InputError(
            f"{path} is neither a file nor a folder: save what it gives in a file, which is read more than once"
        )
    return path


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unzipped where its first bytes say gzip.

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
        raise DataError(f"{path} is a damaged or truncated gzip file: {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def read_bytes(path: Path) -> bytes:
    """A whole file, unzipped; for formats whose files are small."""
    with opened(path) as file:
        return file.read()


@contextmanager
def mapped(path: Path) -> Iterator[bytes | mmap.mmap]:
    """A whole file like `read_bytes`, without a copy of it where it is not zipped. What refers to it ends with the block."""
    with opened(path) as file:
        plain = isinstance(file, io.BufferedReader) and not isinstance(file.raw, gzip.GzipFile)
        if not plain or not path.stat().st_size:
            yield file.read()
            return
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        yield data


def lines(path: Path, bad: Bad, encoding: Encoding | None = None) -> Iterator[str]:
    """Lines of a text with their ends; one that is not UTF-8 is a bad record and comes as an empty line, so that counting holds.

    encoding: as the option of that name says; None for a reader without it, which reads `auto` then.
    """
    cure = "give options.encoding: latin-1, or save the file as UTF-8" if encoding else "save the file as UTF-8"
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
                bad(f"{path}, line {number}", f"is not UTF-8: {error.reason} at byte {error.start}: {cure}")
                yield "\n"


def _decoded(path: Path, file: IO[bytes], encoding: str) -> Iterator[str]:
    """Lines of a text in an encoding that a broken character makes unreadable from there on."""
    try:
        with io.TextIOWrapper(file, encoding=encoding, newline="\n") as text:
            yield from text
    except UnicodeError as error:
        raise DataError(
            f"{path} is not {encoding.upper()}: {error.args[-1]}: give options.encoding, or save the file as UTF-8"
        ) from None


def head(path: Path, size: int = 2048) -> str:
    """The first characters, for recognising a format; empty for what cannot be read."""
    try:
        with existing(path).open("rb") as raw:
            start = raw.read(size)
        if start.startswith(b"\x1f\x8b"):
            # only as far as it goes: a truncated file has a format too
            start = zlib.decompressobj(31).decompress(start, size)
        return start.decode("utf-8", errors="replace")
    except (InputError, OSError, zlib.error):
        return ""


def has_ending(path: Path, *endings: str) -> bool:
    """Whether a file's name ends so, in any case, gzipped or not."""
    return path.is_file() and path.name.lower().removesuffix(".gz").endswith(endings)


def files_of(path: Path, *endings: str) -> list[Path]:
    """The file itself, or a folder's files with such an ending at any depth, sorted. Raises `InputError` where there are none."""
    if existing(path).is_file():
        return [path]
    found = [file for file in files_below(path) if has_ending(file, *endings)]
    if not found:
        raise InputError(f"{path} has no {' or '.join(endings)} file")
    return found


def files_below(folder: Path) -> list[Path]:
    """Every file of a folder at any depth, sorted. Raises `InputError` for a folder that may not be read, which `rglob` leaves out."""
    found = [Path(place, name) for place, _, names in os.walk(folder, onerror=_refused) for name in names]
    return sorted(file for file in found if file.is_file())


def is_file(path: Path) -> bool:
    """`Path.is_file`, which raises for a text that is too long for a name."""
    return os.path.isfile(path)


def _refused(error: OSError) -> None:
    raise InputError(
        f"{error.filename} cannot be read: {error.strerror}: make it readable, move it elsewhere, or name a folder beside it"
    )


def some(records: Iterator[R], path: Path) -> Iterator[R]:
    """The records, and `DataError` at the end where none of them was a playlist."""
    playlists = 0
    for record in records:
        playlists += isinstance(record, PlaylistRecord | NamedPlaylist)
        yield record
    if not playlists:
        raise DataError(f"{path} holds no playlist")

"""Functions that open plain or gzipped user files and raise one-line errors."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, AnyStr, Literal, TypeVar

import msgspec

from toolkit.catalogue.records import NamedPlaylist, PlaylistRecord, Record
from toolkit.errors import DataError, InputError
from toolkit.files import regular

FILE_BYTES = 1 << 28
"""Bytes, after decompression, of a file that is read as a whole. A slice of the Million Playlist Dataset has 35 MB, its
challenge set 150 MB, and an XSPF file of a million tracks 200 MB. More is a decompression bomb."""

ROW_CHARACTERS = 1 << 25
"""Bytes (or characters, of text that is not UTF-8) of a line in a table or M3U file: three times the longest cell."""

JSON_BYTES, JSON_VALUES = 1 << 27, 5_000_000
"""Bytes and values of a line of JSON Lines: a playlist of a million tracks has about 40 MB, or 100 MB with names. Each
value takes up to 70 bytes of memory."""

CHUNK = 1 << 20
"""Bytes that are read at once."""

BLANKS = " \t\n\v\f\r"
"""Characters around a value that do not belong to it. Other spaces do: Windows writes `…` as byte 0x85, which is a line
end in Unicode."""

BOM = b"\xef\xbb\xbf"

Encoding = Literal["auto", "utf-8", "utf-16", "latin-1"]
"""Of a text; auto is UTF-8, or UTF-16 if the file begins with its byte order mark."""

UTF_16 = (b"\xff\xfe", b"\xfe\xff")

Bad = Callable[[str, str], None]  # `Reader.bad`: (where, why)

BROKEN_JSON = (msgspec.DecodeError, UnicodeDecodeError, json.JSONDecodeError, RecursionError)
"""Errors of decoders for a text that is not JSON, or JSON of another shape; the last one for too deep nesting."""


class Oversized(Exception):
    """Error that a file has more bytes than are read as a whole."""

    def __str__(self) -> str:
        return f"has more than {FILE_BYTES:,} bytes after decompression: split the file into smaller ones"


R = TypeVar("R", bound=Record | NamedPlaylist)


def existing(path: Path) -> Path:
    """Return the path. Raises `InputError` for a missing path or a pipe, which cannot be read twice."""
    try:
        mode = os.stat(path).st_mode
    except ValueError:  # a name with NUL
        raise InputError(f"{path} does not exist: correct the path") from None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise InputError(f"{path} does not exist: correct the path") from None
        raise InputError(f"{path} cannot be read ({error.strerror}): correct path or permissions") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
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
        with regular(existing(path)) as raw:
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


def read_bytes(path: Path) -> bytearray:
    """Return the decompressed content of a file. Raises `Oversized` for more than `FILE_BYTES`."""
    data = bytearray()
    for piece in pieces(path):
        data += piece
    return data


def pieces(path: Path) -> Iterator[bytes]:
    """Yield the decompressed content of a file in pieces. Raises `Oversized` after `FILE_BYTES`."""
    size = 0
    with opened(path) as file:
        while piece := file.read(CHUNK):
            if (size := size + len(piece)) > FILE_BYTES:
                raise Oversized
            yield piece


def bounded_lines(file: IO[AnyStr], newline: AnyStr, limit: int) -> Iterator[AnyStr | None]:
    """Yield lines with line ends, and None for a line of `limit` bytes or characters, whose rest is not kept."""
    read = partial(file.readline, limit)
    for line in iter(read, newline[:0]):
        if len(line) < limit or line.endswith(newline):
            yield line
        else:
            del line
            while (rest := file.readline(CHUNK)) and not rest.endswith(newline):
                pass
            yield None


def json_lines(path: Path, bad: Bad) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of the lines of JSON Lines, which only LF or CRLF end.

    A line is a bad record if it has `JSON_BYTES` or more, or more than `JSON_VALUES` values.
    """
    with opened(path) as file:
        for number, line in enumerate(bounded_lines(file, b"\n", JSON_BYTES), start=1):
            if line is None:
                bad(f"{path}, line {number}", f"has {JSON_BYTES:,} bytes or more: split the playlist")
            elif len(line) > JSON_VALUES and line.count(b",") > JSON_VALUES:
                bad(f"{path}, line {number}", f"has more than {JSON_VALUES:,} values: split the playlist")
            else:
                yield number, line.removeprefix(BOM)


def lines(path: Path, bad: Bad, encoding: Encoding | None = None) -> Iterator[str]:
    """Yield lines of a text file with line ends. A bad line is a bad record and yields an empty line.

    A line is bad if it is not UTF-8, contains NUL, has `ROW_CHARACTERS` or more, or begins with a byte order mark that
    is not the first of the file, as in files that were joined.

    - encoding: reader option `encoding`, or None for a reader without the option, which means `auto`.
    """
    cure = "set `options.encoding: latin-1` or save the file as UTF-8" if encoding else "save the file as UTF-8"
    with opened(path) as file:
        marked = file.read(2) in UTF_16
        file.seek(0)
        if encoding in ("utf-16", "latin-1") or (marked and encoding != "utf-8"):
            yield from _decoded(path, file, bad, encoding if encoding == "latin-1" else "utf-16")
            return
        for number, line in enumerate(bounded_lines(file, b"\n", ROW_CHARACTERS), start=1):
            try:
                if line is None:
                    fault = TOO_LONG
                elif b"\0" in line:
                    fault = f"contains NUL, as UTF-16 text does: {cure}"
                elif (text := line.removeprefix(BOM) if number == 1 else line).startswith(BOM):
                    fault = MARKED
                else:
                    yield text.decode()
                    continue
            except UnicodeDecodeError as error:
                fault = f"is not UTF-8 ({error.reason} at byte {error.start}): {cure}"
            bad(f"{path}, line {number}", fault)
            yield "\n"


TOO_LONG = f"has {ROW_CHARACTERS:,} characters or more: shorten the line"
"""Message for a line that `bounded_lines` does not return."""

MARKED = "begins with a byte order mark, which a file may have only once: split the joined files"


def _decoded(path: Path, file: IO[bytes], bad: Bad, encoding: str) -> Iterator[str]:
    """Yield lines in an encoding that cannot be read after an invalid character."""
    try:
        with io.TextIOWrapper(file, encoding=encoding, newline="\n") as text:
            for number, line in enumerate(bounded_lines(text, "\n", ROW_CHARACTERS), start=1):
                if line is None:
                    fault = TOO_LONG
                elif "\0" in line:
                    fault = "contains NUL: correct the encoding"
                elif line.startswith("\ufeff"):  # the decoder drops the first of a file
                    fault = MARKED
                else:
                    yield line
                    continue
                bad(f"{path}, line {number}", fault)
                yield "\n"
    except UnicodeError as error:
        raise DataError(
            f"{path} is not {encoding.upper()} ({error.args[-1]}): set options.encoding or save the file as UTF-8"
        ) from None


def head(path: Path, size: int = 2048) -> str:
    """Return the first characters of a file, or an empty text if the file cannot be read."""
    try:
        with regular(existing(path)) as raw:
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


def storable(text: str) -> str:
    """Return a file name in which bytes that are not UTF-8 are percent-encoded, because ids are stored as UTF-8."""
    if text.isascii():
        return text
    return "".join(f"%{ord(letter) - 0xDC00:02X}" if "\ud800" <= letter <= "\udfff" else letter for letter in text)


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

"""Streaming readers for lines and members in plain and compressed dump files."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from toolkit.catalogue.readers.open_files import JSON_BYTES, bounded_lines, files_below
from toolkit.errors import DataError, InputError

MAX_MEMBER = 64 << 20
"""Bytes of one document; longer members are left out."""


def _open_zstd(raw: IO[bytes]) -> IO[bytes]:
    import pyarrow

    return cast(IO[bytes], io.BufferedReader(cast(io.RawIOBase, pyarrow.CompressedInputStream(raw, "zstd"))))


FORMATS: dict[bytes, Callable[[IO[bytes]], object]] = {
    b"\x28\xb5\x2f\xfd": _open_zstd,
    b"\xfd7zXZ": lzma.open,
    b"BZh": bz2.open,
    b"\x1f\x8b": gzip.open,
}
"""Functions that decompress, by a file's first bytes."""


@contextmanager
def stream(path: Path) -> Iterator[IO[bytes]]:
    """Yield an open file, decompressed (zstd, xz, bzip2, gzip) according to the first bytes.

    Raises `InputError` if the file cannot be read, `DataError` if it is damaged.
    """
    try:
        with path.open("rb") as raw:
            start = raw.read(6)
            raw.seek(0)
            open_format = next((function for magic, function in FORMATS.items() if start.startswith(magic)), None)
            with cast(IO[bytes], open_format(raw)) if open_format else raw as file:
                yield file
    except (EOFError, OSError, zlib.error, lzma.LZMAError, tarfile.TarError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{path} cannot be read ({error.strerror}): correct path or permissions") from None
        raise DataError(f"{path} is damaged or truncated ({error}): download the file again") from None


def lines(path: Path, member: str) -> Iterator[bytes]:
    """Yield the lines of a file or, in a tar archive, of the member whose name ends with `member`.

    Raises `DataError` if the archive does not have the member, and the errors of `stream`.
    """
    with stream(path) as file:
        if ".tar" not in path.name:
            yield from _bounded(path, file)
            return
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for entry in archive:
                if entry.isfile() and f"/{entry.name}".endswith(f"/{member}"):
                    content = archive.extractfile(entry)
                    assert content is not None  # it is a file
                    yield from _bounded(path, content)
                    return
    raise DataError(f"{path} must contain {member!r}: download the matching dump")


def _bounded(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """Yield lines. Raises `DataError` for a line that is longer than any record of a dump."""
    for number, line in enumerate(bounded_lines(file, b"\n", JSON_BYTES), start=1):
        if line is None:
            raise DataError(f"{path}, line {number} must have less than {JSON_BYTES:,} bytes: download the dump again")
        yield line


def text_lines(path: Path | None) -> Iterator[tuple[int, str]]:
    """Yield (number, text) of non-empty lines, or nothing without a file. Raises the errors of `stream`."""
    for at, raw in enumerate(lines(path, path.name) if path else (), 1):
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if line.strip():
            yield at, line


def documents(path: Path, ending: str = ".json") -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of all files with this suffix in a folder, zip or tar archive.

    No files are unpacked to disk.
    """
    if path.is_dir():
        for file in files_below(path):
            if file.name.endswith(ending) and file.stat().st_size <= MAX_MEMBER:
                yield file.relative_to(path).as_posix(), file.read_bytes()
        return
    if zipfile.is_zipfile(path):
        yield from _zipped(path, ending)
        return
    with stream(path) as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
        for entry in archive:
            if entry.isfile() and entry.name.endswith(ending) and entry.size <= MAX_MEMBER:
                content = archive.extractfile(entry)
                assert content is not None  # it is a file
                yield entry.name, content.read()


def _zipped(path: Path, ending: str) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(ending) and entry.file_size <= MAX_MEMBER:
                    with archive.open(entry) as file:
                        yield entry.filename, file.read(MAX_MEMBER)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{path} is damaged or encrypted ({error}): download the file again") from None

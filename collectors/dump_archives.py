"""Documents of a published dump: lines or members of plain and compressed files, read once from start to end."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from toolkit.catalogue.readers.open_files import files_below
from toolkit.errors import DataError, InputError

MAX_MEMBER = 64 << 20
"""Bytes of one document; longer members are left out."""
FORMATS = ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ", "xz"), (b"BZh", "bz2"), (b"\x1f\x8b", "gzip"))


@contextmanager
def stream(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, decompressed (zstd, xz, bzip2, gzip) according to its first bytes.

    Raises `InputError` for a file that cannot be read, `DataError` for a damaged one.
    """
    try:
        with path.open("rb") as raw:
            start = raw.read(6)
            raw.seek(0)
            kind = next((name for magic, name in FORMATS if start.startswith(magic)), "plain")
            with _decompressed(raw, kind) as file:
                yield file
    except (EOFError, OSError, zlib.error, lzma.LZMAError, tarfile.TarError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
        raise DataError(f"{path} is damaged or truncated: {error}: fetch it again") from None


def _decompressed(raw: IO[bytes], kind: str) -> IO[bytes]:
    if kind == "zstd":
        import pyarrow

        return cast(IO[bytes], io.BufferedReader(cast(io.RawIOBase, pyarrow.CompressedInputStream(raw, "zstd"))))
    if kind == "xz":
        return cast(IO[bytes], lzma.open(raw))
    if kind == "bz2":
        return cast(IO[bytes], bz2.open(raw))
    return cast(IO[bytes], gzip.open(raw)) if kind == "gzip" else raw


def lines(path: Path, member: str) -> Iterator[bytes]:
    """Lines of a file, or of a member of a tar archive. member: the end of its name.

    Raises `DataError` for an archive without that member, and as `stream`.
    """
    with stream(path) as file:
        if ".tar" not in path.name:
            yield from file
            return
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for entry in archive:
                if entry.isfile() and f"/{entry.name}".endswith(f"/{member}"):
                    content = archive.extractfile(entry)
                    assert content is not None  # it is a file
                    yield from content
                    return
    raise DataError(f"{path} has no member {member!r}: is it another dump?")


def documents(path: Path, ending: str = ".json") -> Iterator[tuple[str, bytes]]:
    """Pairs of name and content of the files with this ending in a folder or tar archive. Nothing is unpacked to disk."""
    if path.is_dir():
        for file in files_below(path):
            if file.name.endswith(ending) and file.stat().st_size <= MAX_MEMBER:
                yield file.relative_to(path).as_posix(), file.read_bytes()
        return
    with stream(path) as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
        for entry in archive:
            if entry.isfile() and entry.name.endswith(ending) and entry.size <= MAX_MEMBER:
                content = archive.extractfile(entry)
                assert content is not None  # it is a file
                yield entry.name, content.read()

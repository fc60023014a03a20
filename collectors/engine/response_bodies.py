"""Bodies of answers, read no further than was agreed: bytes of any host may be endless, packed, or not what they say."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Mapping

from collectors.engine.block_pages import is_page
from collectors.source import Blocked, Expect, Transient, Trouble

MOST: dict[Expect, int] = {"json": 16 << 20, "xml": 16 << 20, "text": 16 << 20, "image": 32 << 20, "audio": 64 << 20}
"""Bytes of a body once it is unpacked."""
TYPES: dict[Expect, tuple[str, ...]] = {
    "json": ("json", "javascript", "text/plain"),  # iTunes calls its JSON JavaScript
    "xml": ("xml",),
    "text": ("text/", "xml"),
    "image": ("image/", "octet-stream"),
    "audio": ("audio/", "video/", "octet-stream"),
}
ACCEPT_ENCODING = "gzip"


def read(chunks: Iterable[bytes], *, encoding: str, most: int, deadline: float, where: str) -> bytes:
    """All of a body as it was before packing.

    chunks: as they come over the wire. most: bytes. deadline: of `time.monotonic`, for hosts that send a byte a minute.
    Raises `Transient` for one that is longer, late or broken, `Trouble` for one in an encoding nobody asked for.
    """
    unpack = _Gzip() if encoding.strip().lower() in ("gzip", "x-gzip") else None
    if unpack is None and encoding.strip().lower() not in ("", "identity"):
        raise Trouble(f"{where} answers in the encoding {encoding!r}, which was not asked for")
    data = bytearray()
    for chunk in chunks:
        data += unpack(chunk, most - len(data) + 1) if unpack else chunk
        if len(data) > most:
            raise Transient(f"{where} sends more than {most / (1 << 20):g} MB")
        if time.monotonic() > deadline:
            raise Transient(f"{where} takes too long to send its answer")
    if unpack and not unpack.whole:
        raise Transient(f"{where} sent a truncated body")
    return bytes(data)


def check(body: bytes, headers: Mapping[str, str], *, expect: Expect, where: str) -> None:
    """Whether a body of status 200 is of the expected type. Raises `Blocked` for a page, `Transient` for anything else."""
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if expect != "text" and ("html" in kind or (expect != "audio" and is_page(body[:64].decode("utf-8", "replace")))):
        raise Blocked(f"{where} answers with a page where {expect} was asked for", status=200)
    if kind and not any(part in kind for part in TYPES[expect]):
        raise Transient(f"{where} answers with {kind} where {expect} was asked for", status=200)


class _Gzip:
    """Unpacks no more than asked for: a megabyte may stand for a gigabyte."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self.begun = False

    def __call__(self, chunk: bytes, most: int) -> bytes:
        self.begun = True
        try:
            return self._stream.decompress(chunk, max(1, most))
        except zlib.error as error:
            raise Transient(f"a body is not gzip: {error}") from None

    @property
    def whole(self) -> bool:
        return self._stream.eof or not self.begun

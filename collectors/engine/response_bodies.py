"""Reading of response bodies within limits: a host may send bytes without end, packed, or of another type."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Mapping

from collectors.engine.block_pages import is_page
from collectors.source import Blocked, Expect, Transient, Trouble

MAX_BYTES: dict[Expect, int] = {
    "json": 16 << 20,
    "xml": 16 << 20,
    "text": 16 << 20,
    "image": 32 << 20,
    "audio": 64 << 20,
}
"""Bytes of a body once it is unpacked."""
TYPES: dict[Expect, tuple[str, ...]] = {
    "json": ("json", "javascript", "text/plain"),  # iTunes calls its JSON JavaScript
    "xml": ("xml",),
    "text": ("text/", "xml"),
    "image": ("image/", "octet-stream"),
    "audio": ("audio/", "video/", "octet-stream"),
}
ACCEPT_ENCODING = "gzip"


def read(chunks: Iterable[bytes], *, encoding: str, limit: int, deadline: float, name: str) -> bytes:
    """Read and unpack a whole body.

    - chunks: the bytes as they come over the wire.
    - limit: bytes of the unpacked body.
    - deadline: in `time.monotonic`, for hosts that send a byte a minute.
    - name: of the resource, for messages.

    Raises `Transient` for a body that is too long, late or broken, `Trouble` for an encoding that was not requested.
    """
    unpack = _Gzip() if encoding.strip().lower() in ("gzip", "x-gzip") else None
    if unpack is None and encoding.strip().lower() not in ("", "identity"):
        raise Trouble(f"{name} answers in the encoding {encoding!r}, which was not requested")
    data = bytearray()
    for chunk in chunks:
        data += unpack(chunk, limit - len(data) + 1) if unpack else chunk
        if len(data) > limit:
            raise Transient(f"{name} sends more than {limit / (1 << 20):g} MB")
        if time.monotonic() > deadline:
            raise Transient(f"{name} takes too long to send its answer")
    if unpack and not unpack.complete:
        raise Transient(f"{name} sent a truncated body")
    return bytes(data)


def check(body: bytes, headers: Mapping[str, str], *, expect: Expect, name: str) -> None:
    """Check that a body of status 200 has the expected type.

    Raises `Blocked` for a web page, `Transient` for any other type.
    """
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if expect != "text" and ("html" in kind or (expect != "audio" and is_page(body[:64].decode("utf-8", "replace")))):
        raise Blocked(f"{name} answers with a page instead of {expect}", status=200)
    if kind and not any(part in kind for part in TYPES[expect]):
        raise Transient(f"{name} answers with {kind} instead of {expect}", status=200)


class _Gzip:
    """Unpacks no more bytes than allowed: a megabyte may hold a gigabyte."""

    def __init__(self) -> None:
        self._stream, self._begun = zlib.decompressobj(16 + zlib.MAX_WBITS), False

    def __call__(self, chunk: bytes, limit: int) -> bytes:
        self._begun = True
        try:
            return self._stream.decompress(chunk, max(1, limit))
        except zlib.error as error:
            raise Transient(f"a body is not gzip: {error}") from None

    @property
    def complete(self) -> bool:
        return self._stream.eof or not self._begun

"""Reading of response bodies within limits: a host may send bytes without end, packed, or of another type.

A web page may come instead of an answer: a captcha, a block page, or a notice of maintenance.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterable, Mapping

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
_BLOCK = re.compile(
    r"captcha|cf-chl|cf-challenge|challenge-platform|challenge-form|just a moment\.\.\.|attention required!"
    r"|are you a robot|verify (?:that )?you are (?:a )?human|unusual traffic"
    r"|access (?:to this page )?(?:has been )?denied|request blocked|ddos protection|bot detection",
    re.IGNORECASE,
)
_PAGE_STARTS = ("<!doctype", "<html", "<head", "<body", "<?xml-stylesheet")


def read(chunks: Iterable[bytes], *, encoding: str, limit: int, deadline: float, name: str) -> bytes:
    """Read and unpack a whole body.

    - chunks: the bytes as they come over the wire.
    - limit: bytes of the unpacked body.
    - deadline: in `time.monotonic`, for hosts that send a byte a minute.
    - name: of the resource, for messages.

    Raises `Transient` for a body that is too long, late or broken, `Trouble` for an encoding that was not requested.
    """
    if encoding.strip().lower() not in ("", "identity", "gzip", "x-gzip"):
        raise Trouble(f"{name} answers in the encoding {encoding!r}, which was not requested")
    gzip = zlib.decompressobj(16 + zlib.MAX_WBITS) if "gzip" in encoding.lower() else None
    data, begun = bytearray(), False
    for chunk in chunks:
        begun = True
        try:
            # no more bytes than allowed: a megabyte may hold a gigabyte
            data += gzip.decompress(chunk, limit - len(data) + 1) if gzip else chunk
        except zlib.error as error:
            raise Transient(f"a body is not gzip: {error}") from None
        if len(data) > limit:
            raise Transient(f"{name} sends more than {limit / (1 << 20):g} MB")
        if time.monotonic() > deadline:
            raise Transient(f"{name} takes too long to send its answer")
    if gzip and begun and not gzip.eof:
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


def is_page(text: str) -> bool:
    """Whether a body is a web page, whatever its content type."""
    return text.lstrip("\ufeff \t\r\n")[:15].lower().startswith(_PAGE_STARTS)


def is_block_page(text: str) -> bool:
    """Whether a web page demands a human or refuses access, for sources that read pages."""
    # a block page shows itself early, and lyrics may use any word
    head = re.sub(r"<script\b[^>]*\bsrc=[^>]*>", "", text[:20_000])
    # a page of content that merely loads a captcha's script for its comment form is long
    return bool(_BLOCK.search(head)) and len(text) < 60_000

"""Reading and type checks of response bodies within limits.

A host may send a web page instead of data, such as a captcha, a block page or a maintenance notice.
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
_SCRIPT = re.compile(r"<script\b[^<>]*>")
"""Start of a script. A tag without an end is left after its first bracket, so that the time grows with the length."""
_PAGE_STARTS = ("<!doctype", "<html", "<head", "<body", "<?xml-stylesheet")


def read(chunks: Iterable[bytes], *, encoding: str, limit: int, deadline: float, name: str) -> bytes:
    """Read and decompress a body.

    - chunks: bytes as received.
    - limit: maximum size of the decompressed body in bytes.
    - deadline: `time.monotonic` value by which the body must be complete.
    - name: name of the resource for messages.

    Raises `Transient` for a body that is too long, late or damaged, `Trouble` for an unknown encoding.
    """
    if encoding.strip().lower() not in ("", "identity", "gzip", "x-gzip"):
        raise Trouble(f"{name} returned encoding {encoding!r}, but the encoding must be identity or gzip")
    gzip = zlib.decompressobj(16 + zlib.MAX_WBITS) if "gzip" in encoding.lower() else None
    data, begun = bytearray(), False
    for chunk in chunks:
        begun = True
        try:
            # no more bytes than allowed: a megabyte may hold a gigabyte
            data += gzip.decompress(chunk, limit - len(data) + 1) if gzip else chunk
        except zlib.error as error:
            raise Transient(f"{name} returned a body that is not gzip ({error})") from None
        if len(data) > limit:
            raise Transient(f"{name} returned more than the limit of {limit / (1 << 20):g} MB")
        if time.monotonic() > deadline:
            raise Transient(f"{name} did not send the reply in time")
    if gzip and begun and not gzip.eof:
        raise Transient(f"{name} returned a truncated body")
    return bytes(data)


def check(body: bytes, headers: Mapping[str, str], *, expect: Expect, name: str) -> None:
    """Raise an error if a body with status 200 does not have the expected type.

    Raises `Blocked` for a web page, `Transient` for any other type.
    """
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if expect != "text" and ("html" in kind or (expect != "audio" and is_page(body[:64].decode("utf-8", "replace")))):
        raise Blocked(f"{name} returned a web page instead of {expect}", status=200)
    if kind and not any(part in kind for part in TYPES[expect]):
        raise Transient(f"{name} returned {kind} instead of {expect}", status=200)


def is_page(text: str) -> bool:
    """Return whether a body is a web page, regardless of the content type."""
    return text.lstrip("\ufeff \t\r\n")[:15].lower().startswith(_PAGE_STARTS)


def is_block_page(text: str) -> bool:
    """Return whether a web page is a captcha or denies access."""
    # a block page shows itself early, and lyrics may use any word
    head = _SCRIPT.sub(lambda tag: "" if "src=" in tag[0] else tag[0], text[:20_000])
    # a page of content that merely loads a captcha's script for its comment form is long
    return bool(_BLOCK.search(head)) and len(text) < 60_000

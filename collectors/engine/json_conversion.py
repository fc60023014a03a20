"""Conversion of decoded API responses to msgspec structs."""

from __future__ import annotations

import contextlib
from typing import TypeVar

import msgspec

from collectors.source import Reply, Transient

Shape = TypeVar("Shape")


class Named(msgspec.Struct):
    """Artist with a name, as in the responses of most services."""

    name: str = ""


def decode(reply: Reply, shape: type[Shape], *, service: str) -> Shape:
    """Decode a reply as JSON and convert it to `shape`. Raises `Transient` like `convert`."""
    return convert(reply.json(), shape, service, status=reply.status)


def convert(body: object, shape: type[Shape], service: str, *, status: int | None = None) -> Shape:
    """Convert decoded JSON to `shape`, or raise `Transient` with a message that contains no values."""
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise Transient(f"{service} returned JSON in an undocumented form ({error})", status=status) from None


def convert_rows(body: object, shape: type[Shape], *path: str, service: str) -> list[Shape]:
    """Return rows of the list at `path` that can be converted to `shape`. Raises `Transient` without a list."""
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    if not isinstance(body, list):
        raise Transient(f"{service} returned JSON without the list `{'.'.join(path)}`")
    rows = []
    for row in body:
        with contextlib.suppress(msgspec.ValidationError):
            rows.append(msgspec.convert(row, shape))
    return rows

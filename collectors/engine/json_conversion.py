"""Decoded JSON of an API as the msgspec struct that describes its documented form."""

from __future__ import annotations

import contextlib
from typing import TypeVar

import msgspec

from collectors.source import Reply, Transient

Shape = TypeVar("Shape")


class Named(msgspec.Struct):
    """An artist, of which most services give at least the name."""

    name: str = ""


def decode(reply: Reply, shape: type[Shape], *, service: str) -> Shape:
    """The JSON of a reply as a `shape`. Raises `Transient` as `convert`."""
    return convert(reply.json(), shape, service, status=reply.status)


def convert(body: object, shape: type[Shape], service: str, *, status: int | None = None) -> Shape:
    """Decoded JSON as a `shape`. Raises `Transient` for another form, without the values of `body` in the message."""
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise Transient(f"{service} answers in an undocumented form: {error}", status=status) from None


def convert_rows(body: object, shape: type[Shape], *path: str, service: str) -> list[Shape]:
    """The rows of the list at `path` inside an answer that have the form `shape`. Raises `Transient` without a list."""
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    if not isinstance(body, list):
        raise Transient(f"{service} answers without a list {'.'.join(path)}")
    rows = []
    for row in body:
        with contextlib.suppress(msgspec.ValidationError):
            rows.append(msgspec.convert(row, shape))
    return rows

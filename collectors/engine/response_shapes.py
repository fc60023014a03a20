"""Answers in the form that an API documents, and a trouble where they are not."""

from __future__ import annotations

import contextlib
from typing import Any, TypeVar

import msgspec

from collectors.source import Reply, Transient

Shape = TypeVar("Shape")


class Named(msgspec.Struct):
    """An artist as most services tell of one."""

    name: str = ""


def shaped(reply: Reply, shape: type[Shape], *, what: str) -> Shape:
    """The JSON of a reply as `shape`. what: the service's name. Raises `Transient` where it has another form than documented."""
    return told(reply.json(), shape, what, status=reply.status)


def told(body: Any, shape: type[Shape], what: str, *, status: int | None = None) -> Shape:
    """The same of JSON that is decoded already, or of a part of it; what it holds is not in the message."""
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise Transient(f"{what} answers in a form that is not the documented one: {error}", status=status) from None


def rows(body: Any, shape: type[Shape], *names: str, what: str) -> list[Shape]:
    """The list at `names` inside an answer; what is of another form is no candidate. Raises `Transient` where there is no list."""
    for name in names:
        body = body.get(name) if isinstance(body, dict) else None
    if not isinstance(body, list):
        raise Transient(f"{what} answers with something else than {'.'.join(names)}")
    found = []
    for row in body:
        with contextlib.suppress(msgspec.ValidationError):
            found.append(msgspec.convert(row, shape))
    return found

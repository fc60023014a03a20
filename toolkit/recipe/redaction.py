"""Removal of secrets from recipes and messages before they are stored or printed.

A run directory is meant to be shared. Passwords and keys are therefore used from the recipe in hand and never written:
a stored recipe is the same recipe without them. Pass secrets in the environment (`PGPASSWORD`) or in `~/.pgpass`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")

REMOVED = "***"
"""Text in place of the value of a secret key."""
_SENSITIVE = (
    r"[\w.-]{0,40}?(?:passw(?:or)?d|passphrase|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key"
    r"|secret[_-]?key|private[_-]?key|access[_-]?key[_-]?id|signature|credentials?)"
)
_KEY = re.compile(_SENSITIVE, re.IGNORECASE)
"""Key of a mapping whose value is a secret. `token_pattern` is not."""
_PARAMETER = re.compile(rf"(?:(?<=[?&;\s])|(?<![^'\"])){_SENSITIVE}(?:=|%3D)[^&;\s'\"<>#]*&?", re.IGNORECASE)
"""Parameter of a URL or of a connection text."""
_WEB_USER = re.compile(r"(?<=https://)[^\s/'\"<>?#@]{1,500}@|(?<=http://)[^\s/'\"<>?#@]{1,500}@", re.IGNORECASE)
"""User of a web address, which is often a token."""
_PASSWORD = re.compile(
    # not the port of a host; a password may have any other character
    r"((?::|%3A)(?:/|%2F){2}[^\s/:@'\"<>]{0,200}?)(?::|%3A)(?!\d{1,5}(?:/|\Z))[^\s'\"<>]{0,500}(?=@|%40)",
    re.IGNORECASE,
)
"""Password after the user of a URL, also where the URL is percent-encoded."""


def redacted(text: str) -> str:
    """Return a text without the passwords and keys of the URLs in it.

    The user of a database is kept. The user of a web address is removed, because it is often a token.

    Example:
        >>> redacted("postgresql://bob:hidden@host/music?password=hidden&sslmode=require")
        'postgresql://bob@host/music?sslmode=require'
    """
    if ":" not in text and "=" not in text and "%" not in text:
        return text
    text = _WEB_USER.sub("", text)
    return _PARAMETER.sub("", _PASSWORD.sub(r"\1", text))


def without_secrets(value: T) -> T:
    """Return a JSON-compatible value with every text `redacted`, and `REMOVED` as the value of secret keys."""
    removed: Any = value
    if isinstance(value, str):
        removed = redacted(value)
    elif isinstance(value, Mapping):
        removed = {
            redacted(key) if isinstance(key, str) else key: REMOVED
            if isinstance(key, str) and isinstance(inner, str) and inner and _KEY.fullmatch(key)
            else without_secrets(inner)
            for key, inner in value.items()
        }
    elif isinstance(value, list | tuple):
        removed = [without_secrets(inner) for inner in value]  # JSON has no tuples
    return removed

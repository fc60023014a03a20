"""Escaping of untrusted text for terminals."""

from __future__ import annotations

import re

_COMMANDING = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters and characters that change the text direction."""


def escaped(text: str) -> str:
    """Return a line with terminal control characters escaped, such as `\x1b`."""
    return _COMMANDING.sub(lambda letter: ascii(letter[0])[1:-1], text)


def printable(text: str) -> str:
    """Return a name or message from a file as a single line that is safe to print."""
    return escaped(" ".join(text.split()))

"""What comes from someone's files as a terminal only shows it."""

from __future__ import annotations

import re

_COMMANDING = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of all that follows: a terminal would obey them."""


def escaped(text: str) -> str:
    """A line with what a terminal would obey written out, such as `\\x1b`."""
    return _COMMANDING.sub(lambda letter: ascii(letter[0])[1:-1], text)


def printable(text: str) -> str:
    """A name from someone's file, or a message that holds one, as one line that a terminal only shows."""
    return escaped(" ".join(text.split()))

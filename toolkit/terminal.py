"""Untrusted text for terminals and spreadsheets."""

from __future__ import annotations

import re
import sys

_COMMANDING = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters and characters that change the text direction."""
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""Beginnings of a cell that spreadsheets may read as a formula (OWASP, CSV Injection), also after quotes."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def escaped(text: str) -> str:
    """Return a line with terminal control characters escaped, such as `\x1b`."""
    return _COMMANDING.sub(lambda letter: ascii(letter[0])[1:-1], text)


def printable(text: str) -> str:
    """Return a name or message from a file as a single line that is safe to print."""
    return escaped(" ".join(text.split()))


def show(text: str) -> None:
    """Print lines as they are, or with control characters escaped if standard output is a terminal."""
    if sys.stdout.isatty():
        text = "\n".join(escaped(line) for line in text.replace("\r\n", "\n").split("\n"))
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def cell(value: object) -> object:
    """Return a value for a CSV file that spreadsheets do not read as a formula.

    A text that begins like a formula and is not a number gets a `'` in front. To undo this, remove one `'` from each
    text that begins with `'` and a formula.
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value

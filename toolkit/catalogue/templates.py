"""Field templates such as `{title} by {artist}. {genres}`.

A missing part removes the text that belongs to it. Text between two parts belongs to the part before it up to a
closing bracket, and to the part after it from an opening one. The rest is a separator, kept if the part after it and
any part before it are present. `{title} ({artist}). {genres}` gives `Song. rock` without an artist, `(Ann). rock`
without a title and `rock` with genres alone. Text before the first part belongs to that part, text after the last part
to the last, except for a full stop.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

from toolkit.errors import InputError

_BETWEEN = re.compile(r'((?:.*[)\]}»”])?"?)(.*?)("?(?:[(\[{«“].*)?)', re.DOTALL)
_FULL_STOPS = ".!?…"


def is_template(field: str) -> bool:
    """Return whether a field name contains braces."""
    return "{" in field or "}" in field


class Template:
    """Parsed template with the field names in order as `parts`.

    Raises `InputError` for unbalanced braces, empty names, conversions, formats and attributes.
    """

    def __init__(self, text: str) -> None:
        try:
            pieces = list(string.Formatter().parse(text))
        except ValueError as error:
            raise InputError(f"field template {text!r} is invalid ({error}): write {{{{ for a literal brace") from None
        self.text = text
        self.literals = [""]
        self.parts: list[str] = []
        for literal, name, form, conversion in pieces:
            self.literals[-1] += literal
            if name is None:
                continue
            if form or conversion or not re.fullmatch(r"[\w-]+", name):
                raise InputError(f"field template {text!r}: {{{name}}} must be a plain field name")
            self.parts.append(name)
            self.literals.append("")
        if not self.parts:
            raise InputError(f"field template {text!r} must contain a field: add a field in braces")

    def fill(self, values: Mapping[str, str | None]) -> str | None:
        """Return the text of a track, or None if all parts are missing."""
        parts = [values[name] for name in self.parts]
        if all(part is None for part in parts):
            return None
        opening, *between, ending = self.literals
        out = [] if parts[0] is None else [opening, parts[0]]
        for before, literal, after in zip(parts, between, parts[1:], strict=False):
            closes, separator, opens = _split(literal)
            if before is not None:
                out.append(closes)
            if after is not None:
                out += [separator if out else "", opens, after]
        out.append(ending if parts[-1] is not None else ending[len(ending.rstrip(_FULL_STOPS)) :])
        return re.sub(r"[ \t]+", " ", "".join(out)).strip()


def _split(literal: str) -> tuple[str, str, str]:
    """Return closing marks, separator and opening marks in the text between two parts."""
    match = _BETWEEN.fullmatch(literal)
    assert match is not None  # every group may be empty
    return match[1], match[2], match[3]

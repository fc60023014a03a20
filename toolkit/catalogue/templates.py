"""Field templates: `{title} by {artist}. {genres}` as one text per track.

A part that a track lacks takes its surroundings along. Of the text between
two parts, what runs up to a closing bracket belongs to the part before it,
what begins with an opening one to the part after; the rest is a separator,
kept where the part after it is there and any part before it is. So `{title}
({artist}). {genres}` gives `Song. rock` without an artist, `(Ann). rock`
without a title and `rock` with genres alone. Text before the first part goes
with that part, text after the last with the last, but for a full stop.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence

from toolkit.errors import InputError

_BETWEEN = re.compile(r'((?:.*[)\]}»”])?"?)(.*?)("?(?:[(\[{«“].*)?)', re.DOTALL)
_FULL_STOP = re.compile(r"[.!?…]*\Z")


def is_template(field: str) -> bool:
    """Whether a field name has braces."""
    return "{" in field or "}" in field


class Template:
    """A parsed template.

    parts: names in order. Raises `InputError` for unbalanced braces, an empty
    name, and for conversions, formats and attributes, which are not offered.
    """

    def __init__(self, text: str) -> None:
        try:
            pieces = list(string.Formatter().parse(text))
        except ValueError as error:
            raise InputError(f"field template {text!r}: {error}; write {{{{ for a brace itself") from None
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
            raise InputError(f"field template {text!r} names no field")

    def fill(self, values: Mapping[str, str | None]) -> str | None:
        """The text of one track; None where every part is missing."""
        return self._join([values[name] for name in self.parts])

    def _join(self, values: Sequence[str | None]) -> str | None:
        if all(value is None for value in values):
            return None
        opening, *between, ending = self.literals
        out = [] if values[0] is None else [opening, values[0]]
        for before, literal, after in zip(values, between, values[1:], strict=False):
            closes, separator, opens = _split(literal)
            if before is not None:
                out.append(closes)
            if after is not None:
                out += [separator if out else "", opens, after]
        out.append(ending if values[-1] is not None else _FULL_STOP.findall(ending)[0])
        return re.sub(r"[ \t]+", " ", "".join(out)).strip()


def _split(literal: str) -> tuple[str, str, str]:
    """Closing marks, separator and opening marks of the text between two parts."""
    match = _BETWEEN.fullmatch(literal)
    assert match is not None  # every group may be empty
    return match[1], match[2], match[3]

from __future__ import annotations

import pytest

from toolkit.catalogue.templates import Template
from toolkit.errors import InputError


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"title": "Song", "artist": "Ann", "genres": "rock"}, "Song by Ann. rock"),
        ({"title": "Song", "artist": "Ann", "genres": None}, "Song by Ann"),
        ({"title": "Song", "artist": None, "genres": "rock"}, "Song. rock"),
        ({"title": None, "artist": "Ann", "genres": "rock"}, "Ann. rock"),
        ({"title": None, "artist": None, "genres": "rock"}, "rock"),
        ({"title": "Song", "artist": None, "genres": None}, "Song"),
        ({"title": None, "artist": None, "genres": None}, None),
    ],
)
def test_template_part_with_a_missing_field_is_removed(values: dict[str, str | None], text: str | None) -> None:
    assert Template("{title} by {artist}. {genres}").fill(values) == text


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("{a} ({b}). {c}", {"a": "x", "b": None, "c": "z"}, "x. z"),
        ("{a} ({b}). {c}", {"a": None, "b": "y", "c": "z"}, "(y). z"),
        ("Song: {a}, artist: {b}.", {"a": "x", "b": None}, "Song: x."),
        ("Song: {a}, artist: {b}.", {"a": None, "b": "y"}, "y."),
        ("{a} ({b} s) - {c}", {"a": "x", "b": None, "c": "z"}, "x - z"),
        ("{a} ({b} s)", {"a": "x", "b": None}, "x"),
        ('"{a}" by "{b}"', {"a": "x", "b": None}, '"x"'),
        ('"{a}" by "{b}"', {"a": None, "b": "y"}, '"y"'),
        ("{a} (live), {b} [{c}]", {"a": "x", "b": None, "c": "z"}, "x (live) [z]"),
        ("{{{a}}}", {"a": "x"}, "{x}"),
        ("{a}  {b}", {"a": " x", "b": "y "}, "x y"),
        ("{a}\n{a}", {"a": "x"}, "x\nx"),
        ("{a}", {"a": "{b} (not a part)"}, "{b} (not a part)"),
    ],
)
def test_template_escapes_brackets_and_braces_and_strips_blanks(
    template: str, values: dict[str, str | None], text: str
) -> None:
    assert Template(template).fill(values) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{title", "expected '}'"),
        ("title}", "Single '}'"),
        ("{}", "must be a plain field name"),
        ("{title.__class__}", "must be a plain field name"),
        ("{title!r}", "must be a plain field name"),
        ("{title:>9}", "must be a plain field name"),
        ("{{}}", "must contain a field"),
    ],
)
def test_malformed_template_raises(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Template(text)

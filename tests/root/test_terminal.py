"""Tests of text for terminals and spreadsheets."""

from __future__ import annotations

import pytest

from toolkit.terminal import cell, escaped, show


@pytest.mark.parametrize(
    "text",
    ['=HYPERLINK("http://x","y")', "+cmd|'/C calc'!A0", "@SUM(1)", "-1+1", "\t=1", "\r=1", "'=1", "-", "＝1+1"],
)
def test_cell_quotes_texts_that_begin_like_formulas(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-1.5", "+3", "-2e-7", ".5", "Blue", "a=b", "", "'tis", None, -1.5, 3, True])
def test_cell_keeps_numbers_and_other_texts(value: object) -> None:
    assert cell(value) == value and type(cell(value)) is type(value)


def test_show_writes_raw_text_to_a_pipe_and_escapes_to_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    show("a\x1b[2J\r\nb")
    assert capsys.readouterr().out == "a\x1b[2J\r\nb\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show("a\x1b[2J\r\nb")
    assert capsys.readouterr().out == "a\\x1b[2J\nb\n" and escaped("\x9b") == "\\x9b"

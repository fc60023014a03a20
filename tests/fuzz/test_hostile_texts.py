"""Tests that functions on foreign texts take linear time: lyrics, titles, artists, ids and templates."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.fuzz.attempts import attempt
from toolkit.catalogue.normalised_names import artist_key, credited, featured, normalised, without_guests
from toolkit.catalogue.readers.ids import by_location, by_name, local_path, qualified, recognised
from toolkit.catalogue.templates import Template
from toolkit.corpus.recordings import recordings, title_key
from toolkit.encoders.text.cleaning import Cleaner, LyricsCleaning
from toolkit.terminal import printable

pytestmark = pytest.mark.fuzz

ROOT = Path("music")
SIZE = 1_000_000
SECONDS = 5.0
"""Processor time for a text of `SIZE` characters. One second is usual, and a quadratic function takes hours."""

CLEANER = Cleaner(LyricsCleaning(), common=["love"])
TEMPLATE = Template("{title} by {artist}. {genres}!")

FUNCTIONS: Mapping[str, Callable[[str], object]] = {
    "clean": CLEANER,
    "normalised": normalised,
    "credited": credited,
    "featured": featured,
    "artist_key": artist_key,
    "without_guests": without_guests,
    "title_key": title_key,
    "recordings": lambda text: recordings(["a", "b"], [text, text], [text, text], [text, text]),
    "recognised": recognised,
    "qualified": lambda text: qualified(text, "local"),
    "by_name": lambda text: by_name(text, text),
    "by_location": lambda text: by_location(text, ROOT / "x.m3u", ROOT),
    "local_path": local_path,
    "fill": lambda text: TEMPLATE.fill({"title": text, "artist": None, "genres": text}),
    "printable": printable,
}

PIECES = (
    "a", "1", " ", "\n", "\t", "(", ")", "[", "'", "*", "é", "\u0301", "\u200b", "\ud800", ",", ".", "…!", "://", "%41",
    "{", "in'", "ain", "singin' ", "(feat ", " feat. ", " feat. a ", "(with ", "[verse ", "verse ", "x 2", "(x", "1,",
    "* ", "Embed ", "Lyrics ", "1Embed", "See a Live", "Contributors", "&", " and ", " - ", ", the", "the ", "live at ",
    "-live ", "remaster ", "2011 ", "(deluxe ", "file://", "../", "\\", "\u2028", "$a", "a!", "a.",
)  # fmt: skip
BEGINNINGS = ("", "https://open.spotify.com/track/", "12 Contributors", "verse", "Song (feat. ", "http://[", "file:///")


def test_functions_on_foreign_texts_take_linear_time(tries: Callable[[int], int]) -> None:
    pieces, beginnings = (PIECES, BEGINNINGS) if tries(1) > 1 else (PIECES[:: len(PIECES) // 8], BEGINNINGS[:1])
    inputs = [
        (f"{name} {beginning!r} {piece!r}", (name, beginning + piece * (SIZE // len(piece))))
        for name in FUNCTIONS
        for piece in pieces
        for beginning in beginnings
    ]

    result = attempt(_check, inputs, seconds=60, megabytes=1_000)

    assert not result.faults
    assert result.counts["passed"] == len(inputs)


def _check(named: tuple[str, str]) -> None:
    name, text = named
    started = time.process_time()
    FUNCTIONS[name](text)
    assert time.process_time() - started < SECONDS


def test_guests_of_a_long_hostile_title_are_no_credit() -> None:
    title = "(feat " * 20_000

    assert without_guests(title) == (title, [])


@pytest.mark.parametrize(
    ("title", "bare", "guests"),
    [
        ("Song (feat. B)", "Song", ["B"]),
        ("Song   [with  B, C]  - Live", "Song  - Live", ["B", "C"]),
        ("Song feat. B   - Live", "Song   - Live", ["B"]),
        ("Song ft. B   (Live)", "Song   (Live)", ["B"]),
        ("Song featuring  B ", "Song", ["B"]),
        ("Song feat. A\nLive", "Song\nLive", ["A"]),
        ("(with " + "a" * 1_001 + ")", "(with " + "a" * 1_001 + ")", []),
    ],
)
def test_without_guests_separates_guests_at_brackets_dashes_and_line_ends(
    title: str, bare: str, guests: list[str]
) -> None:
    assert without_guests(title) == (bare, guests)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("singin' GOIN' Ain' in' spin' cabin' mountain'", "singing GOING Ain' in' spin' cabin' mountain'"),
        ("la (x2) la [ 3 x ]  la", "la la la"),
        ("la\n12.5KEmbed", "la"),
        ("la\n" + "1" * 40 + "Embed", "la\n" + "1" * 24),
        ("verse 2 x 3 :\nla", "la"),
        ("***** This Lyrics is NOT for Commercial use ***** (140)\nla", "la"),
    ],
)
def test_cleaning_keeps_its_results_without_backtracking(text: str, cleaned: str) -> None:
    assert CLEANER.steps[1][1](CLEANER.steps[0][1](text)) == cleaned


def test_final_full_stops_of_a_template_are_kept_without_its_last_part() -> None:
    assert TEMPLATE.fill({"title": "Song", "artist": "Ann", "genres": None}) == "Song by Ann!"

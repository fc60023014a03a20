"""Tests of the normalisation of names with pairs that are the same name and pairs that are not."""

from __future__ import annotations

import unicodedata

import pytest

from toolkit.catalogue.normalised_names import artist_key, credited, featured, folded, normalised, without_guests

SAME = [
    ("DMA’s", "DMA's"),
    ("DMA's", "DMAs"),
    ("Guns N´ Roses", "Guns N' Roses"),
    ("Beyoncé", "Beyonce"),
    (unicodedata.normalize("NFD", "Beyoncé"), unicodedata.normalize("NFC", "Beyoncé")),
    ("ABBA", "abba"),
    ("ＡＢＢＡ", "ABBA"),
    ("Daft\u00a0Punk", "Daft  Punk"),
    ("\tDaft Punk ", "Daft\u200b Punk"),
    ("AC/DC", "AC-DC"),
    ("AC–DC", "ac dc"),
    ("Jay‐Z", "JAY-Z"),
    ("Simon & Garfunkel", "Simon and Garfunkel"),
    ("Florence + The Machine", "Florence & the Machine"),
    ("Beatles, The", "The Beatles"),
    ("R.E.M.", "REM"),
    ("Ke$ha", "Kesha"),
    ("A$AP Rocky", "ASAP Rocky"),
    ("P!nk", "Pink"),
    ("Panic! at the Disco", "Panic At The Disco"),
    ("Røyksopp", "Royksopp"),
    ("Łona", "lona"),
    ("Straße", "STRASSE"),
    ("ﬁn", "fin"),
    ("ΣΩΚΡΆΤΗΣ", "Σωκράτης"),
    ("Ёлка", "Елка"),
    ("“Weird Al” Yankovic", '"Weird Al" Yankovic'),
]
OTHER = [
    ("The Band", "Band"),
    ("!!!", "?"),
    ("÷", "×"),
    ("+", "&"),
    ("💿", "🎧"),
    ("Мой", "Мои"),
    ("がんばれ", "かんはれ"),
    ("Version 1.5", "Version 15"),
    ("Part 1", "Part 2"),
    ("B", "C"),
    ("يا حبيبي", "يا ليل"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_name_are_equal(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@pytest.mark.parametrize("name", [name for pair in [*SAME, *OTHER] for name in pair])
def test_normalisation_is_idempotent_and_never_empty(name: str) -> None:
    assert normalised(name) and normalised(normalised(name)) == normalised(name)


def test_other_scripts_are_kept() -> None:
    assert [normalised(name) for name in ("がんばれ", "한국 노래", "يا حبيبي", "हिन्दी", "Кино!")] == [
        "がんばれ",
        "한국 노래",
        "يا حبيبي",
        "हिन्दी",
        "кино",
    ]


def test_ascii_names_equal_the_general_path() -> None:
    for name in [name for pair in SAME for name in pair if name.isascii()] + ["_a_", "a`b", "x (y) [z] - 1/2", "a.b.c"]:
        assert normalised(name) == normalised(name + "\u200b") and folded(name) == folded(name + "\ufe0f")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("A, B", ["A", "B"]),
        ("A,\u00a0B", ["A", "B"]),
        ("A feat. B", ["A", "B"]),
        ("A ft. B", ["A", "B"]),
        ("A ft.B", ["A", "B"]),
        ("A featuring B", ["A", "B"]),
        ("A Feat B", ["A", "B"]),
        ("A (feat. B)", ["A", "B"]),
        ("A [ft. B, C & D]", ["A", "B", "C & D"]),
        ("Simon & Garfunkel", ["Simon & Garfunkel"]),
        ("Florence and the Machine", ["Florence and the Machine"]),
        ("Tyler, The Creator", ["Tyler", "The Creator"]),
        ("Beatles, The, Kinks, The", ["Beatles, The", "Kinks, The"]),
        ("Little Feat", ["Little Feat"]),
        ("Little Feat feat. B", ["Little Feat", "B"]),
        ("FT Island", ["FT Island"]),
        ("Earth (Band)", ["Earth (Band)"]),
        ("", []),
    ],
)
def test_credit_is_split_at_commas_and_guests_only(text: str, names: list[str]) -> None:
    assert credited(text) == names


def test_commas_do_not_separate_the_artists_of_a_single_name() -> None:
    assert featured("Earth, Wind & Fire feat. B") == ["Earth, Wind & Fire", "B"]


def test_artist_key_is_equal_for_spellings_of_the_same_artists() -> None:
    assert artist_key("Beyoncé feat. JAY-Z") == artist_key("Beyonce, Jay‐Z") == "beyonce\njay z"


@pytest.mark.parametrize(
    ("title", "bare", "guests"),
    [
        ("Song (feat. B) - Live", "Song - Live", ["B"]),
        ("Song feat. B - Radio Edit", "Song - Radio Edit", ["B"]),
        ("Song ft. B & C [Remix]", "Song [Remix]", ["B & C"]),
        ("Song (with B)", "Song", ["B"]),
        ("Stay with Me", "Stay with Me", []),
        ("(feat. B)", "(feat. B)", []),
    ],
)
def test_guests_are_separated_from_the_title(title: str, bare: str, guests: list[str]) -> None:
    assert without_guests(title) == (bare, guests)

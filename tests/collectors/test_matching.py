"""Which names are the same song's."""

from __future__ import annotations

import pytest

from collectors.matching import Candidate, nearest, normalise, score, verdict
from collectors.source import Request


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("Señorita (feat. Camila Cabello) - 2011 Remaster", "senorita"),
        ("Don’t Stop Me Now – Remastered 2011", "dont stop me now"),
        ("Creep (Live)", "creep live"),
        ("Rock & Roll [Deluxe Edition]", "rock and roll"),
        ("STRAẞE", "strasse"),
        ("!!!", "!!!"),
        ("(feat. X)", "feat x"),
        ("Remastered", "remastered"),
        ("يا حبيبي", "يا حبيبي"),
        ("がんばれ", "がんばれ"),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
    ],
)
def test_a_title_without_what_says_nothing(text: str, bare: str) -> None:
    assert normalise(text) == bare


ASKED = Request("track", "t", title="Creep", artists=("Radiohead", "Guest"), duration_s=238.0)


@pytest.mark.parametrize(
    ("title", "artist", "duration", "said"),
    [
        ("Creep", "Radiohead", 239.9, "found"),
        ("CREEP - 2008 Remaster", "Radiohead", None, "found"),
        ("Creep", "Radiohead & Guest", 237.0, "found"),
        ("Creep", "Radiohead", 241.0, "ambiguous"),
        ("Creep (Live)", "Radiohead", 238.0, "ambiguous"),
        ("Creep 2", "Radiohead", 238.0, "ambiguous"),
        ("Creep", "TLC", 238.0, "absent"),
        ("Karma Police", "Radiohead", 238.0, "absent"),
        ("", "", None, "absent"),
    ],
)
def test_a_candidate_is_judged(title: str, artist: str, duration: float | None, said: str) -> None:
    assert verdict(score(ASKED, Candidate(title, (artist,), duration))) == said


def test_parts_are_told_apart_and_the_first_of_equals_is_best() -> None:
    asked = Request("track", "t", title="Part 1", artists=("A",))
    candidates = [Candidate("Part 2", ("A",)), Candidate("Part 1", ("A",)), Candidate("Part 1", ("A",))]
    best = nearest(asked, candidates, lambda candidate: candidate)
    assert best is not None and best[0] is candidates[1] and best[1] == 1.0
    assert nearest(asked, [], lambda candidate: candidate) is None
    assert nearest(asked, [Candidate("Another", ("B",))], lambda candidate: candidate) is None
    assert verdict(score(asked, candidates[0])) == "ambiguous"


def test_an_artist_is_a_name_alone() -> None:
    assert score(Request("artist", "a", artists=("Beyoncé",)), Candidate(artists=("BEYONCE",))) == 1.0
    assert score(Request("artist", "a"), Candidate(artists=("Beyoncé",))) == 0.0

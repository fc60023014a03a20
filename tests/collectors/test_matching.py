"""Tests of normalising names, scoring candidates and verdicts."""

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
def test_normalise_removes_credits_editions_case_and_accents(text: str, bare: str) -> None:
    assert normalise(text) == bare


REQUEST = Request("track", "t", title="Creep", artists=("Radiohead", "Guest"), duration_s=238.0)


@pytest.mark.parametrize(
    ("title", "artist", "duration", "message"),
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
def test_verdict_depends_on_title_artist_and_duration(
    title: str, artist: str, duration: float | None, message: str
) -> None:
    assert verdict(score(REQUEST, Candidate(title, (artist,), duration))) == message


def test_nearest_distinguishes_parts_and_breaks_ties_by_order() -> None:
    requests = Request("track", "t", title="Part 1", artists=("A",))
    candidates = [Candidate("Part 2", ("A",)), Candidate("Part 1", ("A",)), Candidate("Part 1", ("A",))]
    best = nearest(requests, candidates, lambda candidate: candidate)
    assert best is not None and best[0] is candidates[1] and best[1] == 1.0
    assert nearest(requests, [], lambda candidate: candidate) is None
    assert nearest(requests, [Candidate("Another", ("B",))], lambda candidate: candidate) is None
    assert verdict(score(requests, candidates[0])) == "ambiguous"


def test_artists_are_scored_only_by_name() -> None:
    assert score(Request("artist", "a", artists=("Beyoncé",)), Candidate(artists=("BEYONCE",))) == 1.0
    assert score(Request("artist", "a"), Candidate(artists=("Beyoncé",))) == 0.0

"""Tests of recordings: planted pairs of one recording and of two, and the rule of durations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from toolkit.corpus.recordings import recordings, title_key

Track = tuple[str, str | None, str | None, str | None, float]
"""Id, title, artist, album and duration."""


def groups(tracks: Sequence[Track], **codes: Sequence[str | None]) -> list[int]:
    ids, titles, artists, albums, seconds = zip(*tracks, strict=True)
    durations = None if np.isnan(seconds).all() else np.array(seconds)
    return recordings(ids, titles, artists, albums, durations, codes or None)[1:].tolist()


def track(title: str | None, artist: str | None = "A", album: str | None = "One", seconds: float = np.nan) -> Track:
    return f"t:{next(NUMBER)}", title, artist, album, seconds


NUMBER = itertools.count()

ONE = {
    "the same names": (track("Song"), track("Song", album="Best Of")),
    "spelling": (track("Don’t Stop", "DMA’s"), track("don't stop!", "DMA's")),
    "accents": (track("Déjà Vu", "Beyoncé"), track("Deja Vu", "Beyonce")),
    "guest in the title and in the artists": (track("Song (feat. B)"), track("Song", "A, B")),
    "guest in the artist text": (track("Song", "A feat. B"), track("Song ft. B")),
    "two guests": (track("Song (feat. B & C)"), track("Song", "A, B, C")),
    "artists in another order": (track("Song", "A, B"), track("Song", "B, A")),
    "brackets and dash": (track("Song (Live)"), track("Song - Live")),
    "two forms of a remaster": (track("Song - 2011 Remaster"), track("Song (Remastered 2011)")),
    "durations 2 s apart": (track("Song", seconds=200), track("Song", seconds=202)),
    "live in title and album": (track("Song - Live", album="Live at X"), track("Song (Live)", album="Best Of")),
    "a generic title of one album": (track("Intro", seconds=60), track("Intro", seconds=60.5)),
    "one unknown duration": (track("Song", seconds=200), track("Song")),
}
APART = {
    "live": (track("Song", seconds=200), track("Song - Live", seconds=200)),
    "live by the album": (track("Song"), track("Song", album="Live at X")),
    "unplugged by the album": (track("Song"), track("Song", album="MTV Unplugged")),
    "remix": (track("Song", seconds=200), track("Song - B Remix", seconds=200)),
    "two remixes": (track("Song (B Remix)"), track("Song (C Remix)")),
    "remaster": (track("Song", seconds=200), track("Song - 2011 Remaster", seconds=200)),
    "remasters of two years": (track("Song - 2011 Remaster"), track("Song - Remastered 2015")),
    "acoustic": (track("Song"), track("Song (Acoustic)")),
    "edit": (track("Song"), track("Song - Radio Edit")),
    "instrumental": (track("Song"), track("Song (Instrumental)")),
    "karaoke": (track("Song"), track("Song - Karaoke Version")),
    "demo": (track("Song"), track("Song - Demo")),
    "guest with a version": (track("Song feat. B - Live"), track("Song", "A, B")),
    "with and without a guest": (track("Song"), track("Song (feat. B)")),
    "movements": (track("Sonata: I. Allegro", seconds=300), track("Sonata: II. Allegro", seconds=300)),
    "parts": (track("Song, Pt. 1", seconds=200), track("Song, Pt. 2", seconds=200)),
    "numbers": (track("Nocturne No. 5"), track("Nocturne No. 6")),
    "Roman numerals": (track("Song II"), track("Song III")),
    "artists": (track("Song", "A"), track("Song", "B")),
    "durations 5 s apart": (track("Song", seconds=200), track("Song", seconds=205)),
    "intros of two albums": (track("Intro", seconds=60), track("Intro", album="Two", seconds=60)),
    "intros without durations": (track("Intro"), track("Intro")),
    "generic titles": (track("Track 3"), track("Track 3")),
    "untitled": (track("Untitled"), track("Untitled", album="Two")),
    "interludes": (track("Interlude 2"), track("Interlude 2", album="Two")),
    "tempo marks": (track("Allegro"), track("Allegro", album="Two")),
    "artists listed as tracks": (track("Genesis", "Genesis"), track("Genesis", "Genesis")),
    "no title": (track(None), track(None)),
    "no artist": (track("Song", None), track("Song", None)),
    "empty names": (track(" ", " "), track(" ", " ")),
    "scripts": (track("Мой"), track("Мои")),
}


@pytest.mark.parametrize("case", ONE)
def test_two_ids_of_one_recording_are_grouped(case: str) -> None:
    assert groups(ONE[case]) == [1, 1]


@pytest.mark.parametrize("case", APART)
def test_two_recordings_are_kept_apart(case: str) -> None:
    assert groups(APART[case]) == [1, 2]


def test_all_planted_pairs_are_decided_alike_in_one_catalogue() -> None:
    pairs = [*ONE.values(), *APART.values()]
    artists = [[f"{pair[i][2]} {n}" if pair[i][2] else None for i in (0, 1)] for n, pair in enumerate(pairs)]
    tracks = [
        (pair[i][0], pair[i][1], (names[i] or "").replace(",", f" {n},") or None, pair[i][3], pair[i][4])
        for n, (pair, names) in enumerate(zip(pairs, artists, strict=True))
        for i in (0, 1)
        if "feat" not in str(pair) and "ft." not in str(pair) and pair[0][1] != pair[0][2]
    ]
    found = groups(tracks)
    merged = sum(one == other for one, other in zip(found[::2], found[1::2], strict=True))
    expected = [pair for pair in ONE.values() if "feat" not in str(pair) and "ft." not in str(pair)]
    assert merged == len(expected)


def test_tracks_with_one_code_are_one_recording_whatever_their_names() -> None:
    tracks: list[Track] = [
        ("isrc:USABC1234567", "Song", "A", "One", 200.0),
        ("t:1", "Lied", "B", "Two", 240.0),
        ("t:2", "Lied", "B", "Three", 241.0),
        ("mbid:1b", "Chanson", "C", "Four", 10.0),
        ("t:3", None, None, None, np.nan),
    ]
    assert groups(tracks) == [1, 2, 2, 4, 5]
    isrc = [None, "us-abc-12-34567", None, None, None]
    assert groups(tracks, isrc=isrc) == [1, 1, 1, 4, 5]
    assert groups(tracks, isrc=isrc, mbid=[None, None, None, None, "1B"]) == [1, 1, 1, 4, 4]
    assert groups(tracks, isrc=["", "", None, None, None]) == [1, 2, 2, 4, 5]


def test_groups_begin_at_the_shortest_track_and_span_at_most_two_seconds() -> None:
    # 200 to 202, then 203 to 205: each neighbour is within 2 s, but the ends are not
    seconds = [200.0, 201.5, 202.0, 203.0, 205.0, 205.1]
    tracks = [track("Song", seconds=each) for each in seconds]
    assert groups(tracks) == [1, 1, 1, 4, 4, 6]
    order = [3, 5, 0, 4, 2, 1]
    found = groups([tracks[place] for place in order])
    assert {frozenset(seconds[order[i]] for i in range(6) if found[i] == group) for group in found} == {
        frozenset({200.0, 201.5, 202.0}),
        frozenset({203.0, 205.0}),
        frozenset({205.1}),
    }


def test_unknown_duration_joins_only_an_unambiguous_group() -> None:
    known = [track("Song", seconds=200), track("Song", seconds=201)]
    assert groups([track("Song"), *known, track("Song")]) == [1, 1, 1, 1]
    assert groups([track("Song"), *known, track("Song", seconds=260), track("Song")]) == [1, 2, 2, 4, 1]


@pytest.mark.parametrize("impossible", [0.0, -1.0, np.inf, np.nan])
def test_impossible_duration_is_unknown(impossible: float) -> None:
    assert groups([track("Song", seconds=200), track("Song", seconds=impossible)]) == [1, 1]


def slow(tracks: Sequence[Track]) -> list[int]:
    """Return the recordings of tracks with ordinary titles by comparing all of them."""
    group = list(range(1, len(tracks) + 1))
    names = [(title, artist) for _, title, artist, _, _ in tracks]
    for name in set(names):
        mine = [place for place, each in enumerate(names) if each == name]
        known = sorted((tracks[place][4], place) for place in mine if tracks[place][4] > 0)
        unknown = [place for place in mine if not tracks[place][4] > 0]
        buckets: list[list[tuple[float, int]]] = []
        for seconds, place in known:
            if buckets and round(seconds * 1000) - round(buckets[-1][0][0] * 1000) <= 2000:
                buckets[-1].append((seconds, place))
            else:
                buckets.append([(seconds, place)])
        together = [[place for _, place in bucket] for bucket in buckets]
        if len(together) == 1:
            together[0] += unknown
        elif unknown:
            together.append(unknown)
        for places in together:
            for place in places:
                group[place] = min(places) + 1
    return group


@pytest.mark.parametrize("seed", range(5))
def test_recordings_equal_a_slow_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tracks = [
        track(
            f"song {'abcdefgh'[rng.integers(8)]}",
            f"artist {'xyz'[rng.integers(3)]}",
            None,
            float(np.nan if rng.random() < 0.1 else 200 + rng.integers(0, 120) / 10),
        )
        for _ in range(300)
    ]
    assert groups(tracks) == slow(tracks)


def test_no_tracks_and_tracks_without_names_have_their_own_numbers() -> None:
    assert recordings([], [], [], []).tolist() == [0]
    assert recordings(["a", "b"], [None, None], [None, None], [None, None], np.array([1.0, 1.0])).tolist() == [0, 1, 2]


def test_title_key_keeps_versions_and_separates_guests() -> None:
    assert title_key("Song (feat. B) - Remastered Version 2009") == "song remaster 2009\nb"
    assert title_key("Song - 2009 Digital Remaster") == "song remaster 2009"

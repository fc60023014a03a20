"""Tests of the source `lrclib`, which looks up a signature and then searches."""

from __future__ import annotations

import pytest

from collectors.source import Absent, Ambiguous, Blocked, Found, Request, Transient
from collectors.sources.lrclib import Lrclib
from tests.servers import faults
from tests.servers.lrclib import LrclibServer, Song

WORDS = "Over the sea\nI went\n\nand home"
TIMED = "[ar:Mira Oss]\n[ti:Timed]\n[00:01.50] First line\n[00:04.00]\n[00:05.10][00:09.10]Twice <00:05.60>sung\n"
SONGS = [
    Song("Sea Above", "Mira Oss", "Low Quay", 201.0, WORDS),
    Song("Sea Above", "Mira Oss", "Low Quay", 395.0, "the long one"),
    Song("Hum", "Mira Oss", "Low Quay", 120.0, None, instrumental=True),
    Song("Hollow", "Mira Oss", "Low Quay", 130.0, " \n", instrumental=False),
    Song("Timed", "Mira Oss", None, 60.0, None, TIMED),
    Song("שיר לשלום", "להקת הנחל", "שירים", 190.0, "תנו לשמש לעלות"),
    Song("Elsewhere", "Someone Else", "Else", 200.0, "other words"),
    Song("Marked", "Mira Oss", "Low Quay", 90.0, "[Instrumental]", instrumental=True),
]


@pytest.fixture
def server():
    with LrclibServer(SONGS) as server:
        yield server


@pytest.fixture
def source(server):
    return Lrclib(Lrclib.Params(url=server.url))


def song(title: str, duration: float | None, *, artist: str = "Mira Oss", album: str | None = "Low Quay") -> Request:
    return Request("track", "t", ("lyrics",), title=title, artists=(artist,), album=album, duration_s=duration)


def test_signature_is_requested_before_a_search(source, received, http):
    assert source.collect(song("Sea Above", 200.4), http).values == {"lyrics": WORDS}
    expected = {"track_name": "Sea Above", "artist_name": "Mira Oss", "album_name": "Low Quay", "duration": "200"}
    assert [(request.path, request.query) for request in received] == [("/api/get", expected)]


def test_song_with_another_or_missing_album_is_searched_by_name(source, received, http):
    assert source.collect(song("Sea Above", 394.0, album="Best Of"), http).values == {"lyrics": "the long one"}
    assert source.collect(song("Sea Above", None, album=None), http).values == {"lyrics": WORDS}
    assert [request.path for request in received] == ["/api/get", "/api/search", "/api/search"]


@pytest.mark.parametrize(("title", "seconds", "note"), [("Hum", 120, "instrumental"), ("Marked", 90, "instrumental")])
def test_lyrics_of_an_instrumental_are_absent(source, http, title, seconds, note):
    answer = source.collect(song(title, seconds), http)
    assert isinstance(answer, Absent) and answer.note == note


def test_blank_lyrics_are_absent(source, http):
    assert source.collect(song("Hollow", 130), http).note == "listed without lyrics"


def test_timestamps_are_removed_from_synced_lyrics(source, http):
    assert source.collect(song("Timed", 60, album=None), http).values == {"lyrics": "First line\n\nTwice sung"}


def test_right_to_left_titles_are_found(source, http):
    found = source.collect(song("שיר לשלום", 190, artist="להקת הנחל", album="שירים"), http)
    assert found.values == {"lyrics": "תנו לשמש לעלות"}


def test_other_recording_is_ambiguous_and_unknown_song_is_absent(source, http):
    near = source.collect(song("Sea Above", 213, album=None), http)
    assert isinstance(near, Ambiguous) and near.values == {"lyrics": WORDS} and near.note == "Mira Oss - Sea Above"
    assert source.collect(song("Nowhere", 200), http).note == ""
    assert isinstance(source.collect(Request("track", "t", ("lyrics",), title="Sea Above"), http), Absent)


def test_answer_about_another_song_is_absent(source, server, http):
    other = {
        "id": 1,
        "trackName": "Elsewhere",
        "artistName": "Someone Else",
        "duration": 200.0,
        "plainLyrics": "other words",
    }
    server.faults = {0: lambda handler, reply: handler.send(type(reply)(other))}
    assert source.collect(song("Sea Above", 201), http).values == {"lyrics": WORDS}
    server.faults = lambda number, request: (
        lambda handler, reply: handler.send(type(reply)([other] if "search" in request.path else other))
    )
    assert isinstance(source.collect(song("Sea Above", 201), http), Absent)


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (faults.page, Blocked),
        (faults.captcha, Blocked),
        (faults.wrong_json, Transient),
        (faults.truncated, Transient),
        (faults.wrong_type("image/png"), Transient),
        (faults.reset, Transient),
    ],
)
def test_fault_raises_trouble_instead_of_absence(source, server, http, fault, trouble):
    server.faults = lambda number, request: fault
    with pytest.raises(trouble):
        source.collect(song("Sea Above", 201), http)
    server.faults = {}
    assert isinstance(source.collect(song("Sea Above", 201), http), Found)

"""Tests of the source `genius` with lyricsgenius and a loopback server."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import replace

import pytest

from collectors.source import Absent, Ambiguous, Blocked, Found, RateLimited, Request, Transient, Trouble
from collectors.sources.genius import Genius
from segue.checks.check_source import check_source
from segue.checks.check_source import http as unlimited
from tests.servers import faults
from tests.servers.genius import CHALLENGE, TOKEN, GeniusServer, answered, page
from tests.servers.tracks import Track
from toolkit.errors import InputError

SEA = Track("Sea Above", "Mira Oss", lyrics=("[Chorus]", "The sea is above & below", "", "I <3 it"))
QUIET = Track("Quiet Water", "Mira Oss", instrumental=True)
SOON = Track("Not Out Yet", "Mira Oss")
LIVE = Track("Low Tide (Live)", "Mira Oss", lyrics=("Low, low tide",))
ARABIC = Track("نسم علينا الهوى", "فيروز", lyrics=("نسم علينا الهوى", "من مفرق الوادي"))
ALL = (SEA, QUIET, SOON, LIVE, ARABIC)


@pytest.fixture
def http():
    """Return a client with separate limits for each test."""
    with unlimited() as client:
        yield client


def source(server: GeniusServer, **params) -> Genius:
    urls = {"api_url": f"{server.url}/api", "web_url": server.url, "images_url": server.url}
    return Genius(Genius.Params(**urls, **params), keys={"GENIUS_ACCESS_TOKEN": TOKEN})


def request(title: str, *fields: str, artist: str = "Mira Oss") -> Request:
    return Request("track", "t:1", fields or ("lyrics",), title=title, artists=(artist,))


def test_genius_passes_the_contract():
    with GeniusServer(ALL) as server:
        for field in ("lyrics", "cover"):
            known, unknown = request("Sea Above", field), request("Unheard Of", field)
            check_source(
                Genius,
                source(server).params.model_dump(),
                known=known,
                unknown=unknown,
                keys={"GENIUS_ACCESS_TOKEN": TOKEN},
            )


def test_lyrics_contain_only_the_song_text_of_the_page(http):
    with GeniusServer(ALL) as server:
        plain = source(server).collect(request("Sea Above"), http)
        arabic = source(server).collect(request(ARABIC.title, artist=ARABIC.artist), http)
    assert plain.values["lyrics"].split("\n") == list(SEA.lyrics)
    assert arabic.values["lyrics"] == "\n".join(ARABIC.lyrics) and arabic.score == 1.0
    assert [entry.target.split("?")[0] for entry in server.log[:2]] == ["/api/search", f"/song-{SEA.number}-lyrics"]


def test_instrumental_is_decided_only_by_the_api(http):
    with GeniusServer(ALL) as server:
        assert source(server).collect(request("Quiet Water"), http).note == "instrumental"
        assert source(server).collect(request("Not Out Yet"), http).note == "lyrics are unreleased"
        assert isinstance(source(server).collect(request("Unheard Of"), http), Absent)
        doubtful = source(server).collect(request("Low Tide"), http)
    assert isinstance(doubtful, Ambiguous) and doubtful.values == {"lyrics": "Low, low tide"}


WALLS = {
    "challenge": CHALLENGE,
    "empty": b"",
    "page": b"<html><body>Please enable cookies</body></html>",
    "bare": page([""]),
}


@pytest.mark.parametrize("body", WALLS.values(), ids=WALLS)
@pytest.mark.parametrize("status", [200, 403])
def test_page_without_expected_lyrics_raises_blocked(http, body, status):
    def wall(handler, _):
        return handler.send(answered(body, status))

    with GeniusServer(ALL, faults={1: wall}) as server, pytest.raises(Blocked) as refusal:
        source(server).collect(request("Sea Above"), http)
    assert refusal.value.status == status and not refusal.value.for_good
    if body == CHALLENGE and status == 200:
        assert "block page" in str(refusal.value)


def test_missing_lyrics_page_is_absent(http):
    with GeniusServer(ALL, faults={1: faults.status(404, body="gone", type="text/html")}) as server:
        assert source(server).collect(request("Sea Above"), http).note == "the song's page is gone"


def test_song_art_is_fetched_and_placeholders_are_absent(http):
    with GeniusServer(ALL, covers={"Sea Above"}) as server:
        found = source(server).collect(request("Sea Above", "cover"), http)
        none = source(server).collect(request("Quiet Water", "cover"), http)
    assert found.values["cover"][:3] == b"\xff\xd8\xff"
    assert isinstance(none, Absent) and none.note == "no art"


@pytest.mark.parametrize(
    ("place", "fault", "trouble"),
    [
        (0, faults.too_many("3"), RateLimited),
        (1, faults.too_many("3"), RateLimited),
        (0, faults.page, Blocked),
        (0, faults.captcha, Blocked),
        (0, faults.truncated, Transient),
        (0, faults.wrong_json, Transient),
        (0, faults.status(500), Transient),
        (1, faults.reset, Transient),
        (1, faults.gzip_bomb(20), Exception),
    ],
)
def test_faults_raise_troubles_through_lyricsgenius(http, place, fault, trouble):
    with GeniusServer(ALL, faults={place: fault}) as server, pytest.raises(trouble) as raised:
        source(server).collect(request("Sea Above"), http)
    assert len(server.log) == place + 1
    if trouble is RateLimited:
        assert raised.value.retry_after == 3.0
    if trouble is Exception:
        assert "more than the limit of 16 MB" in str(raised.value)


def test_rejected_token_raises_without_showing_the_token(http, caplog):
    caplog.set_level(logging.DEBUG)
    with GeniusServer(ALL) as server:
        wrong = Genius(source(server).params, keys={"GENIUS_ACCESS_TOKEN": "wrong-token-value"})
        with pytest.raises(InputError, match="GENIUS_ACCESS_TOKEN was rejected by Genius") as error:
            wrong.collect(request("Sea Above"), http)
        assert isinstance(source(server).collect(request("Sea Above"), http), Found)
    assert not [secret for secret in ("wrong-token-value", TOKEN) if secret in caplog.text + str(error.value)]


def test_song_url_is_requested_only_from_genius(http):
    """Check that only the path of the URL in a search result is used."""
    with GeniusServer(ALL) as server:
        server.song_json = lambda track, right=server.song_json: (
            right(track) | {"url": "https://evil.example/steal", "path": "/steal"}
        )
        answer = source(server).collect(request("Sea Above"), http)
    assert isinstance(answer, Absent)
    assert [entry.target for entry in server.log][1:] == ["/https://evil.example/steal"]


@pytest.mark.parametrize(
    "piece",
    [
        "<!--",
        "<a ",
        "<![CDATA[",
        "<?",
        "<a b='",
        "<!-->",
        "</",
        "<br>",
        "<p>",
        "&",
        "<div data-lyrics-container='true'>",
    ],
)
def test_hostile_page_is_parsed_in_seconds_or_is_a_trouble(piece, http):
    class Hostile(GeniusServer):
        def reply(self, request):
            right = super().reply(request)
            page = "<html>" + piece * min(45_000, 500_000 // len(piece)) + "</html>"
            return replace(right, body=page, type="text/html") if request.path.endswith("-lyrics") else right

    started = time.monotonic()
    with Hostile(ALL) as server, contextlib.suppress(Trouble):
        source(server).collect(request("Sea Above"), http)
    assert len(server.log) == 2 and time.monotonic() - started < 20.0

"""Tests of the sources `deezer`, `itunes` and `reccobeats` with loopback servers."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from collectors.collect import SourceSpec, resolve
from collectors.source import Absent, Ambiguous, Blocked, Found, RateLimited, Request, Transient
from collectors.sources.deezer import Deezer
from collectors.sources.itunes import Itunes
from collectors.sources.reccobeats import Reccobeats
from segue.checks.check_source import check_source
from segue.checks.check_source import http as unlimited
from tests.encoders.audio.mpeg4 import encoded
from tests.servers import faults
from tests.servers.base import Handler, Reply
from tests.servers.deezer import QUOTA, DeezerServer, error
from tests.servers.itunes import ItunesServer
from tests.servers.reccobeats import ReccobeatsServer
from tests.servers.tracks import FEATURES, Track, wave
from toolkit.constants import AUDIO_FEATURES

SEA = Track("Sea Above", "Mira Oss", "Low Quay", 200.0, "GBABC0100001", features=FEATURES)
MUTE = Track("Mute", "Mira Oss", "Low Quay", 100.0, "GBABC0100009", preview=False)
ARABIC = Track("نسم علينا الهوى", "فيروز", "أغاني", 300.0, "LBA010100001", features={**FEATURES, "key": None})
ALL = (SEA, MUTE, ARABIC)
SEA_ALBUM = Request("album", "a:1", ("cover",), title="Low Quay", artists=("Mira Oss",))
NO_ALBUM = Request("album", "a:2", ("cover",), title="Unheard of", artists=("Nobody",))


@pytest.fixture
def http():
    """Return a client with separate limits for each test."""
    with unlimited() as client:
        yield client


def track(of: Track, *fields: str, **more) -> Request:
    return Request("track", "t:1", fields, title=of.title, artists=(of.artist,), **{"duration_s": of.duration_s} | more)


def deezer(server: DeezerServer) -> Deezer:
    return Deezer(Deezer.Params(api_url=server.url, images_url=server.url, previews_url=server.url))


def itunes(server: ItunesServer) -> Itunes:
    return Itunes(Itunes.Params(api_url=server.url, images_url=server.url, previews_url=server.url))


def reccobeats(server: ReccobeatsServer) -> Reccobeats:
    return Reccobeats(Reccobeats.Params(api_url=server.url))


@pytest.mark.parametrize(("cls", "server"), [(Deezer, DeezerServer), (Itunes, ItunesServer)])
def test_deezer_and_itunes_pass_the_contract(cls, server):
    with server(ALL) as running:
        urls = {name: running.url for name in ("api_url", "images_url", "previews_url")}
        check_source(cls, urls, known=SEA_ALBUM, unknown=NO_ALBUM)
        check_source(cls, urls, known=track(SEA, "audio"), unknown=track(Track("Unheard of", "Nobody"), "audio"))


@pytest.mark.parametrize("name", ["deezer", "itunes"])
def test_field_audio_is_collected_only_on_request(name):
    _, usual, _ = resolve(SourceSpec(source=name))
    _, named, _ = resolve(SourceSpec(source=name, fields=["audio"]))
    assert usual == ["cover", "audio_features", "cqt"] and named == ["audio"]


def test_reccobeats_passes_the_contract():
    with ReccobeatsServer(ALL) as server:
        known = Request("track", "t:1", ("audio_features",), {"spotify": SEA.spotify})
        unknown = Request("track", "t:2", ("audio_features",), {"spotify": MUTE.spotify})
        answer = check_source(Reccobeats, {"api_url": server.url}, known=known, unknown=unknown)
    assert answer.values == {"audio_features": [FEATURES[name] for name in AUDIO_FEATURES]}


@pytest.mark.parametrize(("make", "server"), [(deezer, DeezerServer), (itunes, ItunesServer)])
def test_preview_gives_features_and_cqt_but_audio_only_on_request(make, server, http):
    with server(ALL) as running:
        source = make(running)
        answer = source.collect(track(SEA, "audio_features", "cqt"), http)
        fetched = sum("preview" in e.target or "/stream/" in e.target or "/audio/" in e.target for e in running.log)
        kept = source.collect(track(SEA, "audio"), http)
        none = source.collect(track(MUTE, "audio_features"), http)
    assert set(answer.values) == {"audio_features", "cqt"} and fetched == 1
    assert (
        dict(zip(AUDIO_FEATURES, answer.values["audio_features"], strict=True))["key"] == 9
    )  # a tone of 440 Hz is an A
    with Image.open(io.BytesIO(answer.values["cqt"])) as picture:
        assert (picture.size, picture.mode) == ((323, 96), "L")
        lit = np.asarray(picture)
    # 440 Hz is 45 semitones above C1, low notes lie below; three seconds of fifteen have sound
    assert int(lit[:, 20].argmax()) == 95 - 45 and lit[:, 200].max() == 0
    assert kept.values == {"audio": wave()}
    assert isinstance(none, Absent) and none.note == "no preview"


def test_preview_without_audio_raises_transient_and_aac_names_the_missing_package(http, monkeypatch):
    with (
        DeezerServer(ALL, sound=b"no audio at all") as server,
        pytest.raises(Transient, match="audio that cannot be read"),
    ):
        deezer(server).collect(track(SEA, "audio_features"), http)
    monkeypatch.setitem(sys.modules, "av", None)
    aac = b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(64)
    with (
        ItunesServer(ALL, sound=aac) as server,
        pytest.raises(Blocked, match=r"pip install 'segue\[aac\]', or collect previews from `deezer`") as refusal,
    ):
        itunes(server).collect(track(SEA, "cqt"), http)
    assert refusal.value.for_good


def test_aac_preview_gives_audio_features(http):
    pytest.importorskip("av", reason="AAC needs pip install 'segue[aac]'")
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(30 * 44100) / 44100)
    with ItunesServer(ALL, sound=encoded(np.stack([tone, tone]), 44100)) as server:
        answer = itunes(server).collect(track(SEA, "audio_features", "cqt"), http)
    assert dict(zip(AUDIO_FEATURES, answer.values["audio_features"], strict=True))["key"] == 9
    with Image.open(io.BytesIO(answer.values["cqt"])) as picture:
        assert {int(column.argmax()) for column in np.asarray(picture).T[10:-10]} == {95 - 45}


def test_deezer_looks_up_isrc_before_name(http):
    with DeezerServer(ALL) as server:
        source = deezer(server)
        source.collect(track(SEA, "audio", ids={"isrc": SEA.isrc}), http)
        by_name = source.collect(track(ARABIC, "audio", ids={"isrc": "XXABC0000000"}), http)
        doubtful = source.collect(track(SEA, "audio", duration_s=212.0), http)
    targets = [entry.target.split("?")[0] for entry in server.log]
    assert targets[:2] == [f"/track/isrc:{SEA.isrc}", f"/stream/{SEA.number}.mp3"]
    assert targets[2:4] == ["/track/isrc:XXABC0000000", "/search"] and by_name.score == 1.0
    assert isinstance(doubtful, Ambiguous) and doubtful.values == {"audio": wave()}


@pytest.mark.parametrize(
    ("code", "trouble"),
    [(QUOTA, RateLimited), ((700, "Exception", "busy"), Transient), ((200, "OAuthException", "no"), Blocked)],
)
def test_deezer_error_codes_raise_troubles(http, code, trouble):
    def fault(handler: Handler, _: Reply) -> int:
        return handler.send(error(*code))

    with DeezerServer(ALL, faults={0: fault}) as server, pytest.raises(trouble):
        deezer(server).collect(SEA_ALBUM, http)


@pytest.mark.parametrize(("make", "server"), [(deezer, DeezerServer), (itunes, ItunesServer)])
@pytest.mark.parametrize(
    ("place", "fault", "trouble"),
    [
        (0, faults.too_many("5"), RateLimited),
        (0, faults.page, Blocked),
        (0, faults.status(403), Blocked),
        (0, faults.truncated, Transient),
        (0, faults.wrong_json, Transient),
        (1, faults.short, Transient),
        (1, faults.page, Blocked),
    ],
)
def test_faults_of_deezer_and_itunes_raise_troubles(make, server, place, fault, trouble, http):
    with server(ALL, faults={place: fault}) as running, pytest.raises(trouble):
        make(running).collect(SEA_ALBUM, http)


def test_too_long_preview_and_damaged_cover_raise(http):
    with (
        DeezerServer(ALL, faults={1: faults.huge(20)}) as server,
        pytest.raises(Exception, match="more than the limit of 8 MB"),
    ):
        deezer(server).collect(track(SEA, "audio"), http)

    large = io.BytesIO()
    Image.new("1", (8_001, 8_001)).save(large, format="PNG")

    def bomb(handler: Handler, reply: Reply) -> int:
        return handler.send(Reply(large.getvalue(), 200, "image/png"))

    with DeezerServer(ALL, faults={1: bomb}) as server, pytest.raises(Transient, match="8001 x 8001 pixels"):
        deezer(server).collect(SEA_ALBUM, http)


def test_reccobeats_rejects_incomplete_rows_and_other_tracks(http):
    def wrong(handler: Handler, _: Reply) -> int:
        return handler.send(
            Reply({"content": [{**FEATURES, "href": "https://open.spotify.com/track/another", "isrc": "X"}]})
        )

    def of(one: Track) -> Request:
        return Request("track", "t:1", ("audio_features",), {"spotify": one.spotify, "isrc": one.isrc or ""})

    with ReccobeatsServer(ALL) as server:
        assert isinstance(reccobeats(server).collect(of(SEA), http), Found)
        assert reccobeats(server).collect(of(ARABIC), http).note == "without key"
    with ReccobeatsServer(ALL, faults={0: wrong}) as server, pytest.raises(Transient, match="another track"):
        reccobeats(server).collect(of(SEA), http)
    with ReccobeatsServer(ALL, faults={0: faults.too_many("30")}) as server, pytest.raises(RateLimited) as limited:
        reccobeats(server).collect(of(SEA), http)
    assert limited.value.retry_after == 30.0

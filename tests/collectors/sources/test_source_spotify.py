"""Tests of the source `spotify` with spotipy and a loopback server."""

from __future__ import annotations

import logging

import pytest
from typer.testing import CliRunner

from collectors.source import Absent, Ambiguous, Blocked, Found, Other, RateLimited, Request, Transient
from collectors.sources.spotify import NO_FEATURES, Spotify
from collectors.sources.spotify_playlists import playlists
from segue.checks.check_source import check_source
from segue.checks.check_source import http as unlimited
from segue.commands.playlists import app
from tests.servers import faults
from tests.servers.base import Handler, Reply
from tests.servers.spotify import ID, REFRESH, SECRET, SpotifyServer
from tests.servers.tracks import FEATURES, Track
from toolkit.catalogue.readers.jspf import JspfReader
from toolkit.catalogue.records import PlaylistRecord, TrackRecord
from toolkit.constants import AUDIO_FEATURES
from toolkit.errors import InputError

SEA = Track("Sea Above", "Mira Oss", "Low Quay", 200.5, "GBABC0100001", features=FEATURES)
LIVE = Track("Sea Above (Live)", "Mira Oss", "Low Quay, Live", 201.0)
ARABIC = Track("نسم علينا الهوى", "فيروز", "أغاني", 300.0, "LBA010100001")
QUOTED = Track('The "Other" Side: Pt. 1', "AC/DC & Friends", "Señorita", 180.0)
ALL = (SEA, LIVE, ARABIC, QUOTED)
KEYS = {"SPOTIFY_CLIENT_ID": ID, "SPOTIFY_CLIENT_SECRET": SECRET}


@pytest.fixture
def http():
    """Return a client with separate limits for each test."""
    with unlimited() as client:
        yield client


def source(server: SpotifyServer, **params) -> Spotify:
    return Spotify(
        Spotify.Params(api_url=server.url, accounts_url=server.url, images_url=server.url, **params), keys=KEYS
    )


def request(track: Track, *fields: str, ids: dict[str, str] | None = None, **more) -> Request:
    about = {"title": track.title, "artists": (track.artist,), "duration_s": track.duration_s}
    return Request("track", "t:1", fields or ("spotify",), ids or {}, **about | more)


def test_spotify_passes_the_contract():
    with SpotifyServer(ALL, old_app=True) as server:
        urls = {"api_url": server.url, "accounts_url": server.url, "images_url": server.url}
        check_source(
            Spotify, urls, known=request(SEA, "spotify"), unknown=request(Track("Unheard of", "Nobody")), keys=KEYS
        )
        known = request(SEA, "audio_features", ids={"spotify": SEA.spotify})
        check_source(
            Spotify,
            urls,
            known=known,
            unknown=request(LIVE, "audio_features", ids={"spotify": LIVE.spotify}),
            keys=KEYS,
        )


def test_track_is_found_by_id_isrc_or_name(http):
    with SpotifyServer(ALL) as server:
        spotify = source(server)
        by_id = spotify.collect(request(SEA, "isrc", ids={"spotify": SEA.spotify}), http)
        by_isrc = spotify.collect(request(SEA, ids={"isrc": "gbabc0100001"}), http)
        by_name = spotify.collect(request(SEA), http)
    assert (by_id.values, by_id.score) == ({"isrc": SEA.isrc}, 1.0)
    assert by_id.others == (Other("track", "t:1", "spotify", SEA.spotify),)
    assert (by_isrc.values, by_isrc.score) == ({"spotify": SEA.spotify}, 1.0)
    assert by_name.values == {"spotify": SEA.spotify} and by_name.score == 1.0
    paths = [entry.target.split("?")[0] for entry in server.log]
    assert paths == [
        "/api/token",
        f"/v1/tracks/{SEA.spotify}",
        "/v1/search",
        "/v1/search",
    ]  # one token, single tracks, no second page


@pytest.mark.parametrize("track", [ARABIC, QUOTED], ids=["right to left", "quotes and punctuation"])
def test_names_in_all_scripts_are_found(http, track):
    with SpotifyServer(ALL) as server:
        assert source(server).collect(request(track), http).values == {"spotify": track.spotify}


def test_unknown_track_is_absent_and_other_version_is_ambiguous(http):
    with SpotifyServer([LIVE]) as server:
        spotify = source(server)
        assert isinstance(spotify.collect(request(SEA, ids={"spotify": SEA.spotify}), http), Absent)
        assert isinstance(spotify.collect(request(SEA, ids={"spotify": "no-id!"}), http), Absent)
        assert isinstance(spotify.collect(request(ARABIC), http), Absent)
        assert isinstance(spotify.collect(Request("track", "t:2", ("spotify",)), http), Absent)
        doubtful = spotify.collect(request(SEA), http)
    assert isinstance(doubtful, Ambiguous) and doubtful.values == {"spotify": LIVE.spotify} and "Live" in doubtful.note


def test_other_track_is_rejected_unless_relinked(http):
    with SpotifyServer(ALL) as server:
        spotify = source(server)
        server.relinked[SEA.spotify] = LIVE
        relinked = spotify.collect(request(SEA, ids={"spotify": SEA.spotify}), http)
        assert relinked.values == {"spotify": SEA.spotify}
    with SpotifyServer(ALL, faults={1: _wrong_song}) as server, pytest.raises(Transient, match="instead of"):
        source(server).collect(request(SEA, ids={"spotify": SEA.spotify}), http)


def _wrong_song(handler: Handler, _: Reply) -> int:
    return handler.send(Reply(handler.server.owner.track_json(LIVE)))


def test_smallest_sufficient_cover_is_selected(http):
    album = Request("album", "a:1", ("cover",), title="Low Quay", artists=("Mira Oss",))
    with SpotifyServer(ALL) as server:
        spotify = source(server, cover=250)
        found = spotify.collect(album, http)
        by_id = spotify.collect(Request("album", "a:1", ("cover",), {"spotify": SEA.album_id}), http)
        none = spotify.collect(Request("album", "a:2", ("cover",), title="Unheard of", artists=("Nobody",)), http)
        images = [entry.target for entry in server.log if entry.target.startswith("/image/")]
    assert found.values["cover"][:3] == by_id.values["cover"][:3] == b"\xff\xd8\xff"
    assert isinstance(none, Absent)
    assert images == [f"/image/{SEA.album_id}-300"] * 2


def test_audio_features_raise_blocked_for_new_apps(http):
    features = request(SEA, "audio_features", ids={"spotify": SEA.spotify})
    with SpotifyServer(ALL, old_app=True) as server:
        assert source(server).collect(features, http).values == {
            "audio_features": [FEATURES[name] for name in AUDIO_FEATURES]
        }
        assert isinstance(
            source(server).collect(request(LIVE, "audio_features", ids={"spotify": LIVE.spotify}), http), Absent
        )
    with SpotifyServer(ALL) as server, pytest.raises(Blocked) as refusal:
        source(server).collect(features, http)
    assert (str(refusal.value), refusal.value.for_good, refusal.value.status) == (NO_FEATURES, True, 403)
    assert "reccobeats" in NO_FEATURES and NO_FEATURES.count(". ") == 0


def test_expired_token_is_renewed_once(http):
    with SpotifyServer(ALL, lives=2) as server:
        spotify = source(server)
        answers = [spotify.collect(request(SEA, ids={"spotify": SEA.spotify}), http) for _ in range(5)]
        tokens = len(server.tokens)
    assert all(isinstance(answer, Found) for answer in answers)
    assert tokens == 3
    with SpotifyServer(ALL, lives=0) as server, pytest.raises(Blocked) as refusal:
        source(server).collect(request(SEA, ids={"spotify": SEA.spotify}), http)
    assert refusal.value.status == 401 and len(server.tokens) == 2


def test_rejected_keys_are_named_but_not_shown(http, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    with SpotifyServer(ALL) as server:
        wrong = Spotify(source(server).params, keys=KEYS | {"SPOTIFY_CLIENT_SECRET": "wrong-secret-value"})
        with pytest.raises(
            InputError, match="SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET are rejected by Spotify"
        ) as error:
            wrong.collect(request(SEA), http)
        source(server).collect(request(SEA), http)
        token = next(iter(server.tokens))
    message = str(error.value) + caplog.text + "".join(capsys.readouterr())
    assert not [secret for secret in (ID, SECRET, "wrong-secret-value", token) if secret in message]


@pytest.mark.parametrize(
    ("fault", "trouble", "status"),
    [
        (faults.too_many("7"), RateLimited, 429),
        (faults.status(403), Blocked, 403),
        (faults.status(502), Transient, 502),
        (faults.page, Blocked, 200),
        (faults.truncated, Transient, None),
        (faults.wrong_json, Transient, None),
        (faults.short, Transient, None),
    ],
)
def test_faults_raise_troubles_through_spotipy(http, fault, trouble, status):
    with SpotifyServer(ALL, faults={1: fault}) as server, pytest.raises(trouble) as raised:
        source(server).collect(request(SEA), http)
    assert len(server.log) == 2  # the token and one question: spotipy does not try again by itself
    if status is not None:
        assert raised.value.status == status
    if trouble is RateLimited:
        assert raised.value.retry_after == 7.0


def test_user_playlists_are_complete_and_in_order(http):
    many = [Track(f"Song {n}", "Mira Oss") for n in range(120)]
    mine = {"6hhjQTJWnPH8jcDJQJJq5V": ("Morning", many), "0000000000000000000000": ("Empty", [])}
    with SpotifyServer(ALL, playlists=mine) as server:
        given = list(playlists(KEYS | {"SPOTIFY_REFRESH_TOKEN": REFRESH}, http, source(server).params))
        with pytest.raises(InputError, match="SPOTIFY_REFRESH_TOKEN is required"):
            list(playlists(KEYS, http, source(server).params))
        with pytest.raises(InputError, match="rejected by Spotify"):
            list(playlists(KEYS | {"SPOTIFY_REFRESH_TOKEN": "revoked-token"}, http, source(server).params))
    lists = [record for record in given if isinstance(record, PlaylistRecord)]
    tracks = [record for record in given if isinstance(record, TrackRecord)]
    assert [(record.title, len(record.tracks)) for record in lists] == [("Morning", 120), ("Empty", 0)]
    assert lists[0].tracks == [f"spotify:track:{track.spotify}" for track in many] == [record.id for record in tracks]
    assert {record.train_allowed for record in tracks} == {False}


def test_spotify_playlists_command_writes_readable_files(tmp_path, monkeypatch):
    mine = {"6hhjQTJWnPH8jcDJQJJq5V": ("صباح", [SEA, ARABIC])}
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))
    for name, value in (KEYS | {"SPOTIFY_REFRESH_TOKEN": REFRESH}).items():
        monkeypatch.setenv(name, value)
    with SpotifyServer(ALL, playlists=mine) as server:
        command = ["spotify", "--out", str(tmp_path / "lists"), "--url", server.url, "--accounts-url", server.url]
        message = [CliRunner().invoke(app, [*command, "--contact", "tests@example.org"]) for _ in range(2)]
    assert (
        [one.exit_code for one in message] == [0, 0]
        and "1 playlists written" in message[0].output
        and "0 playlists written" in message[1].output
    )
    assert sum(entry.target.split("?")[0].endswith("/items") for entry in server.log) == 1
    (file,) = (tmp_path / "lists").iterdir()
    (playlist,) = [record for record in JspfReader(file).read() if isinstance(record, PlaylistRecord)]
    assert (playlist.title, playlist.tracks) == ("صباح", [f"spotify:track:{track.spotify}" for track in (SEA, ARABIC)])
    assert not [value for value in (ID, SECRET, REFRESH) if value in file.read_text() + message[0].output]

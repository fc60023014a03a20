"""Tests of downloading ListenBrainz playlists as JSPF files."""

from __future__ import annotations

import pytest

from collectors.engine.retrying_client import open_http
from collectors.jspf_files import encode, path_of, save
from collectors.sources.listenbrainz import HOST, ListenBrainz, ListenBrainzParams
from tests.command import segue
from tests.servers import faults
from tests.servers.listenbrainz import ListenBrainzServer, Made
from tests.servers.music import Artist, Recording, Release
from toolkit.catalogue.readers.jspf import JspfReader
from toolkit.catalogue.records import PlaylistRecord, TrackRecord
from toolkit.errors import InputError, SegueError

MIRA, FERUZ = Artist("Mira Oss"), Artist("فيروز")
SEA = Recording("Sea Above", (MIRA,), (Release("Low Quay", MIRA),))
NIGHT = Recording("ليل", (FERUZ,), ())
LISTS = [
    Made("mira ôss ☂", "Morning", (SEA, NIGHT, SEA), "for the quay"),
    Made("mira ôss ☂", "Evening", (NIGHT, {"title": "Unknown", "creator": "Somebody"}, {"creator": "no title"})),
    Made("mira ôss ☂", "Hidden", (SEA,), public=False),
    Made("mira ôss ☂", "Empty", ()),
    Made("mira ôss ☂", "../../etc", (SEA,)),
    Made("other", "Theirs", (NIGHT,)),
]


@pytest.fixture
def server():
    with ListenBrainzServer(LISTS) as server:
        yield server


@pytest.fixture(autouse=True)
def limits(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path_factory.mktemp("cache")))


def fetch(server, folder, *users: str, playlists: tuple[str, ...] = ()) -> int:
    params = ListenBrainzParams(url=server.url, per_second=1000)
    with open_http(HOST, params, "tests@example.org") as http:
        service = ListenBrainz(http, params, have=lambda one: path_of(folder, one).exists())
        return save([*service.of_ids(playlists), *service.of_users(users)], folder)


def test_playlists_of_a_user_are_read_by_the_jspf_reader(server, received, tmp_path):
    assert fetch(server, tmp_path, "mira ôss ☂") == 3
    listings = [request.query["offset"] for request in received if "user" in request.path]
    assert listings == ["0", "2", "4"]
    records = list(JspfReader(tmp_path).read())
    lists = {record.title: record for record in records if isinstance(record, PlaylistRecord)}
    tracks = {record.id: record for record in records if isinstance(record, TrackRecord)}
    sea, night = f"mbid:{SEA.id}", f"mbid:{NIGHT.id}"
    assert lists["Morning"].tracks == [sea, night, sea] and lists["Morning"].description == "for the quay"
    assert lists["Evening"].tracks == [night, "local:somebody - unknown"] and lists["../../etc"].tracks == [sea]
    assert (tracks[sea].title, tracks[sea].artists, tracks[sea].album) == ("Sea Above", ("Mira Oss",), "Low Quay")
    assert tracks[night].artists == ("فيروز",)


def test_existing_playlists_are_not_fetched_again(server, received, tmp_path):
    first = fetch(server, tmp_path, playlists=(LISTS[0].id,))
    assert (first, fetch(server, tmp_path, "mira ôss ☂")) == (1, 2)
    assert [request.path for request in received].count(f"/1/playlist/{LISTS[0].id}") == 1
    assert fetch(server, tmp_path, "mira ôss ☂", "other") == 1


def test_unknown_user_or_playlist_raises(server, tmp_path):
    with pytest.raises(InputError, match="no user 'nobody'"):
        fetch(server, tmp_path, "nobody")
    for hidden in (LISTS[2].id, "../user/other/playlists"):
        with pytest.raises(InputError, match="no public playlist"):
            fetch(server, tmp_path, playlists=(hidden,))


def test_faults_are_retried_and_a_rejected_request_raises(server, tmp_path):
    server.faults = {0: faults.too_many("0"), 1: faults.truncated, 3: faults.status(502), 4: faults.reset}
    assert fetch(server, tmp_path, "other") == 1
    server.faults = lambda number, request: faults.forbidden_captcha
    with pytest.raises(SegueError, match="403.*run the same command again"):
        fetch(server, tmp_path, "other")
    server.faults = lambda number, request: faults.too_many("86400")
    with pytest.raises(SegueError, match="429"):
        fetch(server, tmp_path, "other")


def test_listenbrainz_command_writes_jspf_files(server, tmp_path):
    out = tmp_path / "lists"
    given = ["playlists", "listenbrainz", "--user", "other", "--out", str(out), "--url", server.url]
    done = segue(*given, "--contact", "tests@example.org")
    assert done.exit_code == 0 and "1 playlists written" in done.output and len(list(out.iterdir())) == 1
    assert segue(*given, "--contact", "nobody").exit_code == 2
    refused = segue("playlists", "listenbrainz", "--out", str(out), "--contact", "a@b.c")
    assert refused.exit_code == 2 and "--user NAME or --playlist MBID" in refused.output


def test_jspf_file_round_trips_through_the_reader(tmp_path):
    track = TrackRecord("spotify:track:abc", "One", ("A", "B"), album="C", duration_s=61.5)
    playlist = PlaylistRecord("x:../../evil", ["spotify:track:abc", "isrc:GBABC0100001"], "Title")
    assert path_of(tmp_path, playlist.id) == tmp_path / "x_______evil.jspf"
    path_of(tmp_path, playlist.id).write_bytes(encode(playlist, {track.id: track}))
    first, second, read = JspfReader(tmp_path).read()
    assert (first.id, first.artists, first.album, first.duration_s) == (track.id, ("A, B",), "C", 61.5)
    assert (second.id, read.tracks) == ("isrc:GBABC0100001", playlist.tracks)

"""Tests of the sources `musicbrainz`, `musicbrainz-tags` and `musicbrainz-dump`."""

from __future__ import annotations

import json
import lzma
import tarfile
from pathlib import Path

import msgspec
import pytest

from collectors.source import Absent, Ambiguous, Found, Other, RateLimited, Request, Transient
from collectors.sources.clients.musicbrainz_recordings import Recording as ApiRecording
from collectors.sources.clients.musicbrainz_recordings import best_answer
from collectors.sources.musicbrainz import (
    MusicBrainz,
    MusicBrainzTags,
    lucene,
)
from collectors.sources.musicbrainz_dump import MusicBrainzDump
from tests.servers import faults
from tests.servers.music import Artist, Recording, Release
from tests.servers.musicbrainz import MusicBrainzServer, busy, hit, looked_up

MIRA = Artist("Mira Oss", tags={"seen live": 1, "odd, even": 2}, genres={"harbour folk": 5, "folk": 3, "noise": 0})
TWIN = Artist("Mira Oss", mbid="00000000-0000-4000-8000-000000000001", disambiguation="another one")
FERUZ = Artist("فيروز", aliases=("Fairuz",), genres={"arabic": 4})
BAND = Artist("The Lamp & Tide")
QUAY = Release("Low Quay", MIRA)
BOOT = Release("Live at Low Quay", MIRA, status="Bootleg")
SEA = Recording("Sea Above", (MIRA,), (BOOT, QUAY), 201_000, ("GBABC0100001",), genres={"shanty": 2})
LIVE = Recording("Sea Above", (MIRA,), (BOOT,), 202_500, disambiguation="live, 2003")
LONG = Recording("Sea Above", (MIRA,), (QUAY,), 395_000)
BAND_SONG = Recording('AC/DC: "Why?" (Part 1)', (BAND,), (), 180_000)
ARABIC = Recording("نسم علينا الهوى", (FERUZ,), (Release("أغاني", FERUZ),), 300_000, ("LBA010100001",))
WRONG = Recording("Something Else Entirely", (TWIN,), (), 99_000, ("GBABC0100002",))
BOTH = Recording("Two Boats", (BAND, MIRA), (QUAY,), 150_000, ("GBABC0100003",))
ALL = [LONG, LIVE, SEA, BAND_SONG, ARABIC, WRONG, BOTH]


@pytest.fixture
def server():
    with MusicBrainzServer(ALL) as server:
        yield server


@pytest.fixture
def source(server):
    return MusicBrainz(MusicBrainz.Params(url=server.url))


def as_api_recordings(recordings: list[Recording]) -> list[ApiRecording]:
    return msgspec.convert([hit(recording, 100) for recording in recordings], list[ApiRecording])


def sea(**more) -> Request:
    about = {
        "title": "Sea Above",
        "artists": ("Mira Oss",),
        "album": "Low Quay",
        "duration_s": 200.0,
        "album_id": "a:1",
        "artist_ids": ("m:1",),
    }
    return Request("track", "t:1", ("mbid",), **about | more)


def test_isrc_lookup_gives_all_ids_in_one_request(source, received, http):
    answer = source.collect(sea(ids={"isrc": "gb-abc-01-00001"}), http)
    assert isinstance(answer, Found) and answer.values == {"mbid": SEA.id} and answer.score == 1
    assert set(answer.others) == {
        Other("artist", "m:1", "mbid", MIRA.id),
        Other("album", "a:1", "release_mbid", QUAY.id),
        Other("album", "a:1", "mbid", QUAY.group),
    }
    assert [request.path for request in received] == ["/ws/2/recording"]
    assert received[0].headers["user-agent"].endswith("(tests@example.org)")


def test_equal_names_are_ranked_by_duration_album_and_official_release(source, http):
    assert source.collect(sea(), http).values == {"mbid": SEA.id}
    assert source.collect(sea(duration_s=396.0), http).values == {"mbid": LONG.id}
    live_first = [LIVE, LONG, SEA]
    assert best_answer(sea(duration_s=None, album=None), as_api_recordings(live_first), b"").values == {"mbid": LONG.id}


def test_artist_and_album_ids_require_equal_names(source, http):
    answer = source.collect(sea(album="Another Record"), http)
    assert [other.field for other in answer.others] == ["mbid"]
    both = Request(
        "track",
        "t",
        ("mbid",),
        title="Two Boats",
        artists=("Mira Oss", "Nobody"),
        artist_ids=("m:1", "m:2"),
        duration_s=150.0,
    )
    assert source.collect(both, http).others == (Other("artist", "m:1", "mbid", MIRA.id),)


def test_known_mbid_is_looked_up_directly(source, received, http):
    answer = source.collect(sea(ids={"mbid": SEA.id}), http)
    assert isinstance(answer, Found) and len(answer.others) == 3
    assert (
        received[0].path == f"/ws/2/recording/{SEA.id}"
        and received[0].query["inc"] == "artist-credits releases release-groups"
    )
    assert isinstance(source.collect(sea(ids={"mbid": MIRA.id}), http), Absent)


def test_wrong_mbid_is_ambiguous_and_wrong_isrc_falls_back_to_the_name(source, http):
    answer = source.collect(sea(ids={"mbid": WRONG.id}), http)
    assert isinstance(answer, Ambiguous) and answer.score < 0.5 and "Something Else" in answer.note
    assert source.collect(sea(ids={"isrc": "GBABC0100002"}), http).values == {"mbid": SEA.id}
    alone = Request("track", "t:2", ("mbid",), {"isrc": "GBABC0100002"})
    assert source.collect(alone, http).values == {"mbid": WRONG.id}


def test_titles_in_other_scripts_are_found(source, http):
    request = Request("track", "t", ("mbid",), title="نسم علينا الهوى", artists=("فيروز",), duration_s=300.5)
    assert source.collect(request, http).values == {"mbid": ARABIC.id}


def test_lucene_operators_in_a_title_are_escaped(source, http):
    request = Request(
        "track", "t", ("mbid",), title='AC/DC: "Why?" (Part 1)', artists=("The Lamp & Tide",), duration_s=180.0
    )
    assert source.collect(request, http).values == {"mbid": BAND_SONG.id}
    assert lucene("Rock AND (Roll) OR: +1") == r"rock and \(roll\) or\: \+1"


def test_similar_title_is_ambiguous_and_unknown_title_is_absent(source, http):
    near = source.collect(sea(title="Sea Above (Remix)"), http)
    assert isinstance(near, Ambiguous) and 0.5 <= near.score < 0.85 and near.values == {"mbid": SEA.id}
    assert isinstance(source.collect(sea(title="Zzz", artists=("Qqq",)), http), Absent)
    assert source.collect(Request("track", "t", ("mbid",)), http) == Absent("no title to search by")


def test_undocumented_json_raises_transient_and_503_rate_limited(server, source, http):
    server.faults = {
        0: faults.wrong_json,
        1: faults.truncated,
        2: lambda handler, reply: handler.send(busy()),
        3: faults.too_many("2"),
    }
    for _ in range(2):
        with pytest.raises(Transient):
            source.collect(sea(), http)
    with pytest.raises(RateLimited) as busy_now:
        source.collect(sea(), http)
    assert (busy_now.value.status, busy_now.value.retry_after) == (503, 0.0)
    with pytest.raises(RateLimited) as limited:
        source.collect(sea(), http)
    assert limited.value.retry_after == 2.0


def tags(server, **params):
    return MusicBrainzTags(MusicBrainzTags.Params(url=server.url, **params))


def test_tags_of_a_recording_fall_back_to_its_artists(server, http):
    request = Request("track", "t:1", ("tags",), {"mbid": SEA.id})
    assert tags(server).collect(request, http).values == {"tags": "shanty"}
    request = Request("track", "t:1", ("tags",), {"mbid": LONG.id})
    assert tags(server).collect(request, http).values == {"tags": "harbour folk, folk, odd even, seen live"}
    assert tags(server, kinds="genres", votes=4).collect(request, http).values == {"tags": "harbour folk"}


def test_artist_tags_require_votes_and_a_known_id(server, received, http):
    request = Request("artist", "m:1", ("artist_tags",), {"mbid": MIRA.id})
    assert tags(server, votes=3).collect(request, http).values == {"artist_tags": "harbour folk, folk"}
    assert tags(server).collect(Request("artist", "m:2", ("artist_tags",), {"mbid": TWIN.id}), http).note == "no tags"
    assert tags(server).collect(Request("artist", "m:2", ("artist_tags",), {"mbid": SEA.id}), http).note == "unknown id"
    assert isinstance(
        tags(server).collect(Request("artist", "m", ("artist_tags",), {"mbid": "../../isrc"}), http), Absent
    )
    assert len(received) == 3


@pytest.fixture(scope="module")
def dump(tmp_path_factory) -> Path:
    """Return the path of a compressed dump with one recording per line and one damaged line."""
    folder = tmp_path_factory.mktemp("dump")
    added = {"artist-credits", "isrcs", "genres", "tags"}
    lines = [json.dumps(looked_up(recording, added), ensure_ascii=False) for recording in ALL]
    (folder / "recording").write_text("\n".join([lines[0], '{"id": 1', *lines[1:]]) + "\n", encoding="utf-8")
    with lzma.open(folder / "recording.tar.xz", "wb") as file, tarfile.open(fileobj=file, mode="w|") as archive:
        archive.add(folder / "recording", "mbdump/recording")
    return folder / "recording.tar.xz"


def test_dump_answers_equal_web_service_answers(dump, source, http, tmp_path):
    local = MusicBrainzDump(MusicBrainzDump.Params(path=dump))
    requests = [
        sea(ids={"isrc": "GBABC0100001"}),
        sea(ids={"mbid": LONG.id}, duration_s=396.0),
        sea(duration_s=396.0, album=None),
        Request("track", "t", ("mbid",), title="NÉSÉM!", artists=("Nobody",)),
        Request("track", "t", ("mbid",), title="نسم علينا الهوى", artists=("فيروز",)),
        Request("track", "t", ("mbid",), title="two boats", artists=("MIRA OSS",), duration_s=151.0),
    ]
    with local.opened(tmp_path / "index"):
        found = [local.collect(request, http) for request in requests]
    online = [source.collect(request, http) for request in requests]
    assert [getattr(answer, "values", None) for answer in found] == [
        getattr(answer, "values", None) for answer in online
    ]
    assert [isinstance(answer, Found) for answer in found] == [True, True, True, False, True, True]
    assert found[0].others == (Other("artist", "m:1", "mbid", MIRA.id),)


def test_dump_is_indexed_only_once(dump, tmp_path, monkeypatch, http):
    source = MusicBrainzDump(MusicBrainzDump.Params(path=dump))
    with source.opened(tmp_path):
        pass
    monkeypatch.setattr("collectors.dump_archives.lines", lambda path, member: pytest.fail("read again"))
    with source.opened(tmp_path):
        assert source.collect(sea(ids={"isrc": "GBABC0100001"}), http).values == {"mbid": SEA.id}
    assert [file.suffix for file in tmp_path.iterdir() if file.is_file()].count(".sqlite") == 1

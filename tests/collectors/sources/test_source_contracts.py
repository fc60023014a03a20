"""Tests that every source without a key passes the contract checks."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from collectors.source import Request, Source
from collectors.sources.acousticbrainz import HIGHLEVEL
from segue.checks.check_source import check_source
from tests.collectors.sources.pictures import picture
from tests.collectors.sources.sounds import tone
from tests.servers.coverartarchive import CoverArtServer
from tests.servers.lrclib import LrclibServer, Song
from tests.servers.music import Artist, Recording, Release
from tests.servers.musicbrainz import MusicBrainzServer, looked_up
from tests.servers.wikimedia import Article, Item, WikimediaServer
from toolkit.constants import AUDIO_FEATURES

MIRA = Artist("Mira Oss", tags={"folk": 3})
QUAY = Release("Low Quay", MIRA)
SEA = Recording("Sea Above", (MIRA,), (QUAY,), 200_000, ("GBABC0100001",), tags={"shanty": 1})
NOT = Request(
    "track",
    "local:none",
    title="No Such Song",
    artists=("Nobody",),
    ids={"mbid": "00000000-0000-4000-8000-000000000000"},
)
TRACK = Request(
    "track",
    "local:song",
    title="Sea Above",
    artists=("Mira Oss",),
    album="Low Quay",
    duration_s=200.0,
    ids={"mbid": SEA.id},
)
ALBUM = Request("album", "a", ("cover",), {"release_mbid": QUAY.id}, "Low Quay", ("Mira Oss",))
NO_ALBUM = Request("album", "b", ("cover",), {"release_mbid": SEA.id}, "No Such Album", ("Nobody",))
ARTIST = Request("artist", "m", ("biography",), {"mbid": MIRA.id}, artists=("Mira Oss",))
NO_ARTIST = Request("artist", "n", ("biography",), artists=("Nobody",))


def of(name: str) -> type[Source]:
    return entry_points(group="segue.collectors")[name].load()


def with_fields(request: Request, *fields: str) -> Request:
    return replace(request, fields=fields)


def test_musicbrainz_passes_the_contract():
    with MusicBrainzServer([SEA]) as server:
        check_source(
            of("musicbrainz"), {"url": server.url}, known=with_fields(TRACK, "mbid"), unknown=with_fields(NOT, "mbid")
        )
        named = replace(with_fields(TRACK, "mbid"), ids={})
        check_source(
            of("musicbrainz"), {"url": server.url}, known=named, unknown=replace(with_fields(NOT, "mbid"), ids={})
        )
        check_source(
            of("musicbrainz-tags"),
            {"url": server.url},
            known=with_fields(TRACK, "tags"),
            unknown=with_fields(NOT, "tags"),
        )


def test_lrclib_passes_the_contract():
    with LrclibServer([Song("Sea Above", "Mira Oss", "Low Quay", 200.0, "Over the sea")]) as server:
        check_source(
            of("lrclib"), {"url": server.url}, known=with_fields(TRACK, "lyrics"), unknown=with_fields(NOT, "lyrics")
        )


def test_coverartarchive_passes_the_contract():
    with CoverArtServer({QUAY.id: picture()}) as server:
        check_source(of("coverartarchive"), {"url": server.url}, known=ALBUM, unknown=NO_ALBUM)


def test_wikipedia_passes_the_contract():
    with WikimediaServer(
        [Article("Mira Oss", "Mira Oss is a singer.", "Singer")], [Item("Q1", MIRA.id, "Mira Oss")]
    ) as server:
        params = {"wikidata": server.wikidata, "wikipedia": server.wikipedia}
        check_source(of("wikipedia"), params, known=ARTIST, unknown=NO_ARTIST)
        check_source(of("wikipedia"), params, known=replace(ARTIST, ids={}), unknown=NO_ARTIST)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tone(tmp_path / "Mira Oss - Sea Above.flac")
    (tmp_path / "Mira Oss - Low Quay.jpg").write_bytes(picture())
    return tmp_path


@pytest.mark.parametrize(("name", "field"), [("librosa", "audio_features"), ("local-previews", "audio")])
def test_audio_folder_sources_pass_the_contract(folder, name, field):
    known = replace(with_fields(TRACK, field), duration_s=None)
    check_source(of(name), {"folder": folder}, known=known, unknown=with_fields(NOT, field))


def test_cover_folder_sources_pass_the_contract(folder):
    from mutagen.flac import FLAC, Picture

    file, front = FLAC(folder / "Mira Oss - Sea Above.flac"), Picture()
    front.data, front.type = picture("navy"), 3
    file["album"], file["artist"] = "Low Quay", "Mira Oss"
    file.add_picture(front)
    file.save()
    for name in ("local-covers", "embedded-covers"):
        check_source(of(name), {"folder": folder}, known=ALBUM, unknown=NO_ALBUM)


def test_table_and_dump_sources_pass_the_contract(tmp_path):
    table = tmp_path / "features.csv"
    table.write_text(f"track_id,{','.join(AUDIO_FEATURES)}\n{TRACK.id},{','.join('1' for _ in AUDIO_FEATURES)}\n")
    known, unknown = with_fields(TRACK, "audio_features"), with_fields(NOT, "audio_features")
    check_source(of("feature-table"), {"path": table}, known=known, unknown=unknown)
    high = {"highlevel": {name: {"all": {kind: 0.5}} for name, kind in HIGHLEVEL}}
    (tmp_path / f"{SEA.id}-0.json").write_text(json.dumps(high))
    known, unknown = with_fields(TRACK, "acoustic_highlevel"), with_fields(NOT, "acoustic_highlevel")
    check_source(of("acousticbrainz"), {"highlevel": tmp_path}, known=known, unknown=unknown)
    dump = tmp_path / "recording"
    dump.write_text(json.dumps(looked_up(SEA, {"artist-credits", "isrcs"})) + "\n")
    check_source(
        of("musicbrainz-dump"), {"path": dump}, known=with_fields(TRACK, "mbid"), unknown=with_fields(NOT, "mbid")
    )

"""Tests of the engine with sources that require keys."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from collectors.engine.engine import Engine, Settings
from collectors.engine.ledger import LEDGER, Ledger
from collectors.engine.outcomes import Retries
from collectors.library import open_library
from collectors.sources.deezer import Deezer
from collectors.sources.genius import Genius
from collectors.sources.lastfm import Lastfm
from collectors.sources.reccobeats import Reccobeats
from collectors.sources.spotify import NO_FEATURES, Spotify
from segue.commands.collect_library import library as commands
from tests.servers import faults
from tests.servers import genius as genius_server
from tests.servers import lastfm as lastfm_server
from tests.servers import spotify as spotify_server
from tests.servers.deezer import DeezerServer
from tests.servers.genius import GeniusServer
from tests.servers.lastfm import LastfmServer
from tests.servers.reccobeats import ReccobeatsServer
from tests.servers.spotify import SpotifyServer
from tests.servers.tracks import FEATURES, Track
from toolkit.catalogue.database_schema import FIELDS
from toolkit.catalogue.records import TrackRecord
from toolkit.catalogue.store import Catalogue
from toolkit.progress import Reporter

ARTISTS = ("Mira Oss", "فيروز", "AC/DC & Friends")
TRACKS = [
    Track(f"Song {n}", ARTISTS[n % 3], f"Album {n % 3}", 150.0 + n, f"GBABC01{n:05}", FEATURES, ("la", f"line {n}"))
    for n in range(24)
]
BIOGRAPHIES = [lastfm_server.Artist(name, "", f"{name} plays." * 20, (("folk", 100),)) for name in ARTISTS]
FAST = 500
"""Requests a second: servers on loopback have no limits of their own."""
KEYS = {
    "SPOTIFY_CLIENT_ID": spotify_server.ID,
    "SPOTIFY_CLIENT_SECRET": spotify_server.SECRET,
    "GENIUS_ACCESS_TOKEN": genius_server.TOKEN,
    "LASTFM_API_KEY": lastfm_server.KEY,
}


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Catalogue]:
    with open_library(tmp_path / "library", new=True) as catalogue:
        catalogue.add(
            TrackRecord(
                f"spotify:track:{track.spotify}",
                title=track.title,
                artists=(track.artist,),
                artist_ids=(f"m:{track.artist}",),
                album=track.album,
                album_id=f"a:{track.album}",
                duration_s=track.duration_s,
            )
            for track in TRACKS
        )
        yield catalogue


def spotify(server: SpotifyServer) -> Spotify:
    return Spotify(
        Spotify.Params(api_url=server.url, accounts_url=server.url, images_url=server.url, per_second=FAST), keys=KEYS
    )


def engine(library: Catalogue, tmp_path: Path, plan, **more) -> Engine:
    settings = Settings(
        "tests@example.org", patience=2.0, retries=Retries(most=3, first=0.05), limits=tmp_path / "limits"
    )
    return Engine(library, plan, settings, **more)


def ledger(library: Catalogue) -> list:
    with library.engine.connect() as connection:
        return connection.execute(select(LEDGER)).all()


def outcomes(library: Catalogue, field: str) -> list[str]:
    return sorted(row.status for row in ledger(library) if row.field == field)


def test_field_rejected_by_spotify_stops_and_other_fields_continue(library, tmp_path):
    with SpotifyServer(TRACKS) as server:
        (summary,) = engine(library, tmp_path, [(spotify(server), ["audio_features", "isrc", "cover"])]).run()
        requests = [entry.target for entry in server.log if entry.target.startswith("/v1/audio-features")]
    assert outcomes(library, "isrc") == ["found"] * 24 and outcomes(library, "cover") == ["found"] * 3
    assert {*outcomes(library, "audio_features")} == {"blocked", "pending"} and len(requests) <= 12
    assert NO_FEATURES in (summary.stopped or "")
    assert {row["train_allowed"] for row in library.provenance("isrc")} == {False}


def test_expired_spotify_token_is_renewed_during_a_run(library, tmp_path):
    with SpotifyServer(TRACKS, lives=4) as server:
        (summary,) = engine(library, tmp_path, [(spotify(server), ["isrc"])]).run()
        tokens = len(server.tokens)
    assert summary.counts["found"] == 24 and summary.left == 0 and 6 <= tokens <= 16


def test_lastfm_requests_each_artist_once_up_to_the_storage_limit(library, tmp_path, monkeypatch):
    assert Lastfm.terms.storage_bytes == 100_000_000
    monkeypatch.setattr(Lastfm, "terms", dataclasses.replace(Lastfm.terms, storage_bytes=600))
    with LastfmServer(BIOGRAPHIES) as server:
        source = Lastfm(Lastfm.Params(url=server.url, per_second=FAST), keys=KEYS)
        (summary,) = engine(library, tmp_path, [(source, ["biography"])]).run()
        assert len(server.log) == 3
    with library.engine.connect() as connection:
        kept = connection.scalars(select(FIELDS.c.value).where(FIELDS.c.field == "biography")).all()
    assert 0 < sum(len(text.encode()) for text in kept) <= 600
    assert "the terms allow at most 0.0006 MB" in (summary.stopped or "")


def test_keys_are_not_written_to_library_log_or_errors(library, tmp_path, capfd):
    """Search all files and output of a run with every kind of fault for keys, tokens and secrets."""
    log = tmp_path / "log" / "debug.log"
    log.parent.mkdir()
    handler = logging.FileHandler(log, encoding="utf-8")
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    notes: list[str] = []
    # to Genius a 401 is message of a wrong token, which ends the source: it gets a captcha instead
    broken = {
        3: faults.status(500),
        5: faults.page,
        7: faults.truncated,
        9: faults.expired,
        11: faults.reset,
        13: faults.wrong_json,
    }
    try:
        with ExitStack() as stack:
            servers = [
                stack.enter_context(server)
                for server in (
                    SpotifyServer(TRACKS, faults=broken),
                    GeniusServer(TRACKS, faults=broken | {9: faults.captcha}),
                    LastfmServer(BIOGRAPHIES, faults={1: faults.status(403), 2: faults.page}),
                    DeezerServer(TRACKS, faults=broken),
                    ReccobeatsServer(TRACKS),
                )
            ]
            first, second, third, fourth, fifth = (server.url for server in servers)
            plan = [
                (spotify(servers[0]), ["isrc", "audio_features"]),
                (
                    Genius(
                        Genius.Params(api_url=f"{second}/api", web_url=second, images_url=second, per_second=FAST),
                        keys=KEYS,
                    ),
                    ["lyrics"],
                ),
                (Lastfm(Lastfm.Params(url=third, per_second=FAST), keys=KEYS), ["biography"]),
                (
                    Deezer(Deezer.Params(api_url=fourth, images_url=fourth, previews_url=fourth, per_second=FAST)),
                    ["cover"],
                ),
                (Reccobeats(Reccobeats.Params(api_url=fifth, per_second=FAST)), ["audio_features"]),
            ]
            reporter = Reporter()
            reporter.note = notes.append  # type: ignore[method-assign]
            summaries = engine(library, tmp_path, plan, reporter=reporter).run()
            wrong = Spotify(plan[0][0].params, keys=KEYS | {"SPOTIFY_CLIENT_SECRET": "a-wrong-secret-of-the-tests"})
            summaries += engine(library, tmp_path, [(wrong, ["cover"])], reporter=reporter).run()
            tokens = [*servers[0].tokens]
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()
    assert first and outcomes(library, "lyrics").count("found") == 24
    assert "rejected by Spotify" in (summaries[-1].stopped or "")
    message = "".join([*notes, repr(summaries), *capfd.readouterr()]).encode()
    secrets = [*KEYS.values(), "a-wrong-secret-of-the-tests", *tokens]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert log in files and b"HTTP" in log.read_bytes() and any(path.suffix == ".sqlite" for path in files)
    leaks = [(secret, str(path)) for path in files for secret in secrets if secret.encode() in path.read_bytes()]
    assert leaks == [] and not [secret for secret in secrets if secret.encode() in message]


def test_terms_command_lists_every_source(library, tmp_path):
    names = sorted(point.name for point in entry_points(group="segue.collectors"))
    for point in entry_points(group="segue.collectors"):
        cls = point.load()
        Ledger(library).register(cls.__new__(cls))
    table = CliRunner().invoke(commands, ["terms", "--library", str(tmp_path / "library")]).output
    rows = {line.split("|")[1].strip(): line for line in table.splitlines()[2:]}
    assert sorted(rows) == names and {
        "spotify",
        "genius",
        "lastfm",
        "deezer",
        "itunes",
        "reccobeats",
        "musixmatch",
        "msd-a",
    } <= set(names)
    assert "100000000" in rows["lastfm"].replace(",", "") and "developer.spotify.com/policy" in rows["spotify"]

"""Fuzz test of sources: right answers of their servers with damage, through the engine and over real sockets."""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collectors.engine.engine import Engine, Settings
from collectors.engine.hosts import Timeouts
from collectors.engine.ledger import Ledger
from collectors.engine.outcomes import Retries
from collectors.library import open_library
from collectors.source import Source
from tests.fuzz.attempts import attempt
from tests.fuzz.mutations import mutated
from tests.servers import genius, lastfm, spotify
from tests.servers.base import Fault, Handler, ReceivedRequest, Reply, Server
from tests.servers.coverartarchive import CoverArtServer
from tests.servers.deezer import DeezerServer
from tests.servers.genius import GeniusServer
from tests.servers.itunes import ItunesServer
from tests.servers.lastfm import LastfmServer
from tests.servers.lrclib import LrclibServer, Song
from tests.servers.music import Artist, Recording, Release
from tests.servers.musicbrainz import MusicBrainzServer
from tests.servers.reccobeats import ReccobeatsServer
from tests.servers.spotify import SpotifyServer
from tests.servers.tracks import FEATURES, Track, jpeg
from tests.servers.wikimedia import Article, Item, WikimediaServer
from toolkit import plugins
from toolkit.catalogue.records import Field, TrackRecord

pytestmark = pytest.mark.fuzz

TRACKS = [
    Track(f"Sea {n}", f"Mira {n}", f"Quay {n}", 150.0 + n, f"GBABC01{n:05}", FEATURES, ("la", f"{n}")) for n in range(4)
]
ARTISTS = [Artist(track.artist, tags={"folk": 3}) for track in TRACKS]
RELEASES = [Release(track.album, artist) for track, artist in zip(TRACKS, ARTISTS, strict=True)]
RECORDINGS = [
    Recording(
        track.title, (artist,), (release,), round(1000 * track.duration_s), (str(track.isrc),), tags={"shanty": 1}
    )
    for track, artist, release in zip(TRACKS, ARTISTS, RELEASES, strict=True)
]
KEYS = {
    "SPOTIFY_CLIENT_ID": spotify.ID,
    "SPOTIFY_CLIENT_SECRET": spotify.SECRET,
    "GENIUS_ACCESS_TOKEN": genius.TOKEN,
    "LASTFM_API_KEY": lastfm.KEY,
}

SERVERS: dict[str, tuple[Callable[..., Server], list[str], Callable[[Any], dict[str, str]]]] = {
    "musicbrainz": (lambda **more: MusicBrainzServer(RECORDINGS, **more), ["mbid"], lambda at: {"url": at.url}),
    "musicbrainz-tags": (
        lambda **more: MusicBrainzServer(RECORDINGS, **more),
        ["tags", "artist_tags"],
        lambda at: {"url": at.url},
    ),
    "lrclib": (
        lambda **more: LrclibServer(
            [Song(t.title, t.artist, t.album, t.duration_s, None, "[00:01.00]la") for t in TRACKS], **more
        ),
        ["lyrics"],
        lambda at: {"url": at.url},
    ),
    "coverartarchive": (
        lambda **more: CoverArtServer({release.id: jpeg() for release in RELEASES}, **more),
        ["cover"],
        lambda at: {"url": at.url},
    ),
    "wikipedia": (
        lambda **more: WikimediaServer(
            [Article(artist.name, f"{artist.name} is a singer.", "Singer") for artist in ARTISTS],
            [Item(f"Q{n}", artist.id, artist.name) for n, artist in enumerate(ARTISTS, 1)],
            **more,
        ),
        ["biography"],
        lambda at: {"wikidata": at.wikidata, "wikipedia": at.wikipedia},
    ),
    "deezer": (
        lambda **more: DeezerServer(TRACKS, **more),
        ["cover", "audio"],
        lambda at: {"api_url": at.url, "images_url": at.url, "previews_url": at.url},
    ),
    "itunes": (
        lambda **more: ItunesServer(TRACKS, **more),
        ["cover", "audio"],
        lambda at: {"api_url": at.url, "images_url": at.url, "previews_url": at.url},
    ),
    "genius": (
        lambda **more: GeniusServer(TRACKS, **more),
        ["lyrics", "cover"],
        lambda at: {"api_url": f"{at.url}/api", "web_url": at.url, "images_url": at.url},
    ),
    "lastfm": (
        lambda **more: LastfmServer(
            [lastfm.Artist(artist.name, "", f"{artist.name} plays.", (("folk", 100),)) for artist in ARTISTS], **more
        ),
        ["biography", "artist_tags", "tags"],
        lambda at: {"url": at.url},
    ),
    "spotify": (
        lambda **more: SpotifyServer(TRACKS, old_app=True, **more),
        ["isrc", "audio_features", "cover"],
        lambda at: {"api_url": at.url, "accounts_url": at.url, "images_url": at.url},
    ),
    "reccobeats": (lambda **more: ReccobeatsServer(TRACKS, **more), ["audio_features"], lambda at: {"api_url": at.url}),
}
"""Source -> its server, fields, and parameters."""


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


HOSTILE: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**63, 10**400, 1e39, -1e308, float("nan"), float("inf"), -0.0, "", " ", "\0", "\ud800"),
    *(
        "²",
        "1" * 5_000,
        "(feat " * 5_000,
        "x" * 50_000,
        "=1+1",
        "../../x",
        [],
        {},
        [[]],
        [None],
        {"a": None},
        deep(900),
    ),
    *("http://127.0.0.1:9/x", "http://169.254.169.254/", "http://[::1", "//", "file:///etc/passwd", "http://a:99999/"),
    *(
        "http://none.invalid/x.jpg",
        "https://u:p@none.invalid/",
        "http://" + "a" * 70 + ".invalid/",
        "http://2130706433/",
    ),
)
HEADERS: tuple[dict[str, str], ...] = (
    *({"Content-Encoding": value} for value in ("gzip", "br", "x", "identity, gzip", "")),
    *({"Retry-After": value} for value in ("\xb2", "-1", "nan", "soon")),
    *({"X-Long": "x" * 60_000}, {"Date": "\xff"}, {"Set-Cookie": "a=b"}, {"Content-Type": "text/html"}),
    *({"Location": value} for value in ("http://[::1", "/", "//", "\xff", "http://127.0.0.1:9/", "data:,x")),
)
STATUSES = (200, 200, 200, 200, 204, 206, 300, 302, 307, 400, 404, 410, 418, 500, 599)


def planted(value: Any, drawn: random.Random) -> Any:
    """Return decoded JSON with a hostile value in the place of one of its values."""
    if drawn.random() < 0.15 or not isinstance(value, dict | list) or not value:
        return drawn.choice(HOSTILE)
    if isinstance(value, list):
        place = drawn.randrange(len(value))
        return [planted(one, drawn) if n == place else one for n, one in enumerate(value)]
    name = drawn.choice(sorted(value))
    return {key: planted(one, drawn) if key == name else one for key, one in value.items()}


def damaged(seed: str) -> Callable[[int, ReceivedRequest], Fault | None]:
    """Return a schedule that damages two of three answers."""

    def schedule(number: int, request: ReceivedRequest) -> Fault | None:
        drawn = random.Random(f"{seed} {number}")
        # a service that refuses a token refuses the key, which stops the source
        if drawn.random() < 0.33 or request.path.endswith("/api/token"):
            return None

        def fault(handler: Handler, reply: Reply) -> int:
            data = reply.encoded()
            try:
                if drawn.random() < 0.6:
                    data = json.dumps(planted(json.loads(data), drawn)).encode()
                else:
                    data = mutated(data, drawn)
            except ValueError:
                data = mutated(data, drawn)
            headers = dict(drawn.choice(HEADERS)) if drawn.random() < 0.3 else {}
            status = drawn.choice(STATUSES) if drawn.random() < 0.3 else reply.status
            try:
                return handler.send(replace(reply, status=status, headers=headers), data)
            except OSError:
                return 0

        return fault

    return schedule


@contextmanager
def no_names() -> Iterator[None]:
    """Let no name be resolved outside this machine."""
    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **more: Any) -> Any:
        return real(host, *args, **{**more, "flags": socket.AI_NUMERICHOST})

    socket.getaddrinfo = resolve
    try:
        yield
    finally:
        socket.getaddrinfo = real


def collect(case: tuple[str, int, Path]) -> None:
    """Collect four entities of each field from damaged answers, and check that the outcomes add up."""
    name, seed, log = case
    serving, fields, params_of = SERVERS[name]
    cls: type[Source] = plugins.load("segue.collectors", name)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, no_names(), serving(faults=damaged(f"{name} {seed}")) as server:
        os.environ["SEGUE_TRUSTED_HOSTS"] = f"127.0.0.1:{server.port}"
        params = cls.Params.model_validate({**params_of(server), "per_second": 1000})
        source = cls(params, keys={key: KEYS[key] for key in cls.keys})
        with open_library(Path(folder) / "library", new=True) as library:
            library.add(map(record, range(4)))
            settings = Settings(
                "tests@example.org",
                20.0,
                retries=Retries(most=2, first=0.01, longest=0.02),
                limits=Path(folder) / "limits",
                timeouts=Timeouts(1.0, 1.0, 3.0),
            )
            (summary,) = Engine(library, [(source, fields)], settings).run()
            outcomes: Counter[str] = Counter()
            for count in Ledger(library).counts():
                outcomes[count.status] += count.n
            # what is stored can be read again
            for field in fields:
                with library.engine.connect() as connection:
                    connection.exec_driver_sql("SELECT value FROM fields WHERE field = ?", (field,)).all()
    total = 4 * len(fields)
    assert summary.stopped is None, summary
    assert outcomes.total() == total and not outcomes["pending"], (outcomes, summary)
    assert sum(summary.counts.values()) == total - outcomes["blocked"], (outcomes, summary)
    assert time.monotonic() - started < 15.0
    with log.open("a") as file:
        print(json.dumps(outcomes), file=file)


def record(n: int) -> TrackRecord:
    track, recording = TRACKS[n], RECORDINGS[n]
    ids = {"spotify": track.spotify, "mbid": recording.id} | ({"isrc": str(track.isrc)} if n % 2 else {})
    fields = {name: Field(value, "ids") for name, value in ids.items()}
    fields |= {"release_mbid": Field(RELEASES[n].id, "ids", "album")}
    return TrackRecord(
        f"local:{n}",
        title=track.title,
        artists=(track.artist,),
        artist_ids=(f"mbid:artist:{ARTISTS[n].id}",),
        album=track.album,
        album_id=f"local:album:{n}",
        duration_s=track.duration_s,
        fields=fields,
    )


def test_damaged_answers_fail_single_entities(tries: Callable[[int], int], tmp_path: Path) -> None:
    names, log = sorted(SERVERS), tmp_path / "outcomes"
    cases = [(f"{name} {n}", (name, n, log)) for n in range(tries(1)) for name in names]
    logging.disable(logging.CRITICAL)
    try:
        result = attempt(collect, cases, seconds=60, megabytes=250)
    finally:
        logging.disable(logging.NOTSET)
    outcomes: Counter[str] = sum((Counter(json.loads(line)) for line in log.read_text().splitlines()), Counter())
    print(result, dict(outcomes))
    assert not result.faults, result.faults[:3]
    assert result.counts == {"passed": len(cases)}
    # the damage is neither without effect nor fatal
    assert min(outcomes["found"], outcomes["failed"], outcomes["absent"]) > outcomes.total() / 50

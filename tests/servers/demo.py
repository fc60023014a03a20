"""Loopback services with ids, tags, lyrics, covers and biographies for the demo catalogue.

    python -m tests.servers.demo        # in another shell: segue run recipes/collect_demo.yaml

The services use the loopback ports from 8790 on and stop on Ctrl-C.
"""

from __future__ import annotations

import argparse
import csv
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segue.datasets.demo.demo_params import DemoParams
from segue.datasets.demo.demo_reader import DemoReader
from segue.datasets.demo.tastes import TASTES
from tests.servers.base import Schedule
from tests.servers.coverartarchive import CoverArtServer
from tests.servers.lrclib import LrclibServer, Song
from tests.servers.music import Artist, Recording, Release, mbid
from tests.servers.musicbrainz import MusicBrainzServer
from tests.servers.wikimedia import Article, Item, WikimediaServer
from toolkit.catalogue.records import TrackRecord
from toolkit.constants import AUDIO_FEATURES

PORT = 8790
FEATURES = Path("runs") / "collect-demo" / "audio_features.csv"


@dataclass(frozen=True)
class Services:
    """Running servers and the parameters for sources that use them."""

    musicbrainz: MusicBrainzServer
    lrclib: LrclibServer
    coverartarchive: CoverArtServer
    wikimedia: WikimediaServer

    def params(self) -> dict[str, dict[str, Any]]:
        """Return the parameters by source."""
        at = {"url": self.musicbrainz.url}
        return {
            "musicbrainz": at,
            "musicbrainz-tags": at,
            "lrclib": {"url": self.lrclib.url},
            "coverartarchive": {"url": self.coverartarchive.url},
            "wikipedia": {"wikidata": self.wikimedia.wikidata, "wikipedia": self.wikimedia.wikipedia},
        }


@contextmanager
def services(
    params: DemoParams | None = None, *, features: Path, port: int = 0, faults: Schedule | None = None
) -> Iterator[Services]:
    """Yield running servers for one demo catalogue.

    - `features`: path of the table of audio features to write.
    - `port`: port of the first server, or 0 for free ports.
    - `faults`: faults of each server.
    """
    demo = Demo(params)
    demo.write_features(features)
    options: list[dict[str, Any]] = [{"port": port + place if port else 0, "faults": faults} for place in range(4)]
    with ExitStack() as stack:
        yield Services(
            stack.enter_context(MusicBrainzServer(demo.recordings, **options[0])),
            stack.enter_context(LrclibServer(demo.songs, **options[1])),
            stack.enter_context(CoverArtServer(demo.covers, **options[2])),
            stack.enter_context(WikimediaServer(demo.articles, demo.items, **options[3])),
        )


class Demo:
    """Demo catalogue in the data structures of the services."""

    def __init__(self, params: DemoParams | None = None) -> None:
        reader = DemoReader(params=params)
        self.tracks = [record for record in reader.read() if isinstance(record, TrackRecord)]
        tastes = {f"demo:artist:{place}": row for place, row in enumerate(reader.story.world.artist_taste)}
        self.recordings: list[Recording] = []
        self.songs: list[Song] = []
        self.covers: dict[str, bytes] = {}
        biographies: dict[str, str | None] = {}
        for track in self.tracks:
            (name,), (owner,) = track.artists, track.artist_ids
            genres = {
                taste.genre: round(10 * share)
                for taste, share in zip(TASTES, tastes[owner], strict=False)
                if share >= 0.1
            }
            artist = Artist(name, mbid(owner), genres=genres)
            release = Release(str(track.album), artist, mbid(str(track.album_id)))
            seconds = float(track.duration_s or 0)
            self.recordings.append(
                Recording(str(track.title), (artist,), (release,), round(1000 * seconds), mbid=mbid(track.id))
            )
            lyrics = _value(track, "lyrics")
            self.songs.append(Song(str(track.title), name, track.album, seconds, lyrics, instrumental=lyrics is None))
            if (cover := _value(track, "cover")) is not None:
                self.covers[release.id] = cover
            biographies[owner] = _value(track, "biography")
        names = {track.artist_ids[0]: track.artists[0] for track in self.tracks}
        written = {owner: text for owner, text in biographies.items() if text}
        self.articles = [Article(names[owner], text, "Musical group") for owner, text in written.items()]
        self.items = [
            Item(f"Q{place}", mbid(owner), names[owner] if owner in written else None)
            for place, owner in enumerate(names, start=1)
        ]

    def write_features(self, path: Path) -> None:
        """Write the table of audio features."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["track_id", *AUDIO_FEATURES])
            writer.writerows([track.id, *_value(track, "audio_features")] for track in self.tracks)


def _value(track: TrackRecord, name: str) -> Any:
    found = track.fields.get(name)
    return found.value if found else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=PORT, help="of the first service; the others follow")
    parser.add_argument("--features", type=Path, default=FEATURES, help="where the table of audio features is written")
    given = parser.parse_args()
    with services(features=given.features, port=given.port) as running:
        for name, params in running.params().items():
            print(f"{name:<18} {' '.join(params.values())}", flush=True)
        print(f"{'feature-table':<18} {given.features}\nCtrl-C ends them", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()

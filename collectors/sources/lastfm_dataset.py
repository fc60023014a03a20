"""Tags of Million Song Dataset tracks from the Last.fm dataset, with their weights.

http://millionsongdataset.com/lastfm describes the files. `lastfm_tags.db` is an SQLite database with the tables `tids`
(tid), `tags` (tag) and `tid_tag` (tid, tag, val), where `tid_tag` refers to row numbers of the two others and `val` is
a weight from 0 to 100. The other form is one JSON file for each track, with `track_id` and `tags`, a list of
[tag, weight]. Play counts of the Taste Profile name songs and not tracks: `track_metadata.db` of the Million Song
Dataset, with the columns `track_id` and `song_id` of its table `songs`, has the tracks of a song.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
from pydantic import Field

from collectors import dump_archives
from collectors.file_index import IndexedSource
from collectors.source import Absent, Answer, Found, Http, Request, SourceParams, Terms
from toolkit.errors import DataError

TRACK = re.compile(r"(?:^|:)(TR[A-Z]{5}[0-9A-F]{11})$")
SONG = re.compile(r"(?:^|:)(SO[A-Z]{5}[0-9A-F]{11})$")

TAGS = (
    "SELECT tids.tid, tags.tag, tid_tag.val FROM tid_tag"
    " JOIN tids ON tids.rowid = tid_tag.tid JOIN tags ON tags.rowid = tid_tag.tag"
)
SONGS = "SELECT song_id, track_id FROM songs ORDER BY rowid"


class _Document(msgspec.Struct):
    track_id: str
    tags: list[tuple[str, str | float]] = []


class LastfmDataset(IndexedSource):
    """Tags of tracks from the Last.fm dataset, the heaviest first.

    Tracks are found by the id `msd:TR…`, or by a song's id `SO…` if `songs` is set.
    """

    name = "lastfm-dataset"
    page = "http://millionsongdataset.com/lastfm"
    fields = {"tags": "track"}
    terms = Terms(
        train_allowed=None,
        licence="research only, strictly non-commercial",
        page="http://millionsongdataset.com/lastfm",
        attribution="Last.fm dataset, song tags and song similarity for the Million Song Dataset",
    )

    class Params(SourceParams):
        """Parameters of the Last.fm dataset.

        - paths: `lastfm_tags.db`, or folders or archives of the JSON files.
        - songs: file with the tracks of each song.
        - min_weight, tags_kept: least weight of a tag, and maximum number of tags of a track.
        """

        paths: list[Path] = Field(min_length=1, description="lastfm_tags.db, or folders, zips or tars of JSON files")
        songs: Path | None = Field(None, description="track_metadata.db, for catalogues with song ids (SO…)")
        min_weight: float = Field(0, ge=0, le=100)
        tags_kept: int = Field(50, ge=1)

    def files(self) -> list[Path]:
        return [*self.params.paths, *([self.params.songs] if self.params.songs else [])]

    def collect(self, request: Request, http: Http) -> Answer:
        tracks = [match[1]] if (match := TRACK.search(request.id)) else []
        if match := SONG.search(request.id):
            tracks = [track.decode() for track in self.index.get(f"song/{match[1]}")]
        weights: dict[str, float] = {}
        for track in tracks:
            for value in self.index.get(f"tag/{track}"):
                tag, _, weight = value.decode().rpartition("\t")
                weights[tag] = max(float(weight), weights.get(tag, 0.0))
        kept = sorted(
            (tag for tag in weights if weights[tag] >= self.params.min_weight), key=lambda tag: (-weights[tag], tag)
        )
        text = ", ".join(kept[: self.params.tags_kept])
        return Found({"tags": text}, payload=text) if text else Absent()

    def rows(self) -> Iterator[tuple[str, bytes]]:
        for path in self.params.paths:
            database = path.is_file() and path.suffix == ".db"
            for track, tag, weight in _selected(path, TAGS) if database else _documents(path):
                if text := " ".join(str(tag).replace(",", " ").split()):
                    yield f"tag/{track}", f"{text}\t{float(weight)}".encode()
        if self.params.songs is not None:
            for song, track in _selected(self.params.songs, SONGS):
                yield f"song/{song}", str(track).encode()


def _selected(path: Path, query: str) -> Iterator[tuple[str, ...]]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, dump_archives.MAX_MEMBER)
            database.execute("PRAGMA trusted_schema = OFF")
            yield from database.execute(query)
    except sqlite3.Error as error:
        raise DataError(f"{path} is not a database of the dataset ({error}): download the file again") from None


def _documents(path: Path) -> Iterator[tuple[str, str, str | float]]:
    decoder = msgspec.json.Decoder(_Document)
    for name, content in dump_archives.documents(path, ".json"):
        try:
            document = decoder.decode(content)
            pairs = [(tag, float(weight)) for tag, weight in document.tags]
        except (msgspec.DecodeError, ValueError) as error:
            raise DataError(f"{path}: {name} is not a file of the dataset ({error}): download the file again") from None
        for tag, weight in pairs:
            yield document.track_id, tag, weight

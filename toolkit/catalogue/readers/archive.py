"""Versions of public playlists from the playlist archive: `playlists*.jsonl.gz` beside `tracks.csv.gz`.

A list is one day's version of a playlist: its group is the playlist. Names and
audio features originate from Spotify's Web API, whose policy forbids training,
whoever copied them: every field says `train_allowed=False`. The archive's
lists are under the MIT licence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from pydantic import Field as Option

from toolkit.catalogue.readers.open_files import BROKEN_JSON, existing, opened, some
from toolkit.catalogue.readers.reader import Reader, ReaderParams, shortened
from toolkit.catalogue.readers.tables.delimited import DelimitedFile
from toolkit.catalogue.readers.tables.track_columns import TrackColumns, TrackParser, feature_vector
from toolkit.catalogue.records import Field, PlaylistRecord, Record, TrackRecord
from toolkit.constants import AUDIO_FEATURES
from toolkit.errors import InputError
from toolkit.timestamps import TIME_RULE, to_seconds

TRACKS, FEATURES = "tracks.csv.gz", "audio_features.csv.gz"
GENRES = "artist_genres"
"""A column of the file of tracks."""

MATCH_SCORES = {"id": 1.0, "title+artist": 0.8}
"""Features matched by title and artist may be another release's; only the order of the scores matters."""


class _List(msgspec.Struct):
    list_id: int
    playlist_id: str
    date: str
    tracks: list[str]
    name: str | None = None
    description: str | None = None
    split: str | None = None


_LIST = msgspec.json.Decoder(_List)


class ArchiveParams(ReaderParams):
    splits: Path | None = Option(
        None,
        description="another file of lists, relative to the data: playlists have the split they have there; those it lacks are train",
    )


class ArchiveReader(Reader):
    """Reads versions of public playlists from the playlist archive.

    Tracks come first, then their audio features if they have a file of their own, then the lists.
    """

    name = "archive"
    Params = ArchiveParams
    params: ArchiveParams

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return (path / "tracks.csv.gz").is_file() and any(path.glob("playlists*.jsonl.gz"))

    def read(self) -> Iterator[Record]:
        return some(self._read(), self.path)

    def check_source(self) -> None:
        self._file_of_lists()
        self._columns(self.path / TRACKS)
        if self.params.splits is not None:
            existing(self.path / self.params.splits)

    def fields_offered(self) -> set[str]:
        table, columns = self._columns(self.path / TRACKS)
        audio = {*AUDIO_FEATURES} <= {*table.header} or (self.path / FEATURES).is_file()
        return columns.offered(table.header) | {
            *(["audio_features"] if audio else []),
            *(["genres"] if GENRES in table.header else []),
        }

    def _read(self) -> Iterator[Record]:
        lists = self._file_of_lists()
        yield from self._tracks(self.path / TRACKS)
        features = self.path / FEATURES
        if features.is_file():
            yield from self._features(features)
        yield from self._lists(lists)

    def _file_of_lists(self) -> Path:
        lists = sorted(existing(self.path).glob("playlists*.jsonl.gz"))
        if len(lists) != 1:
            raise InputError(f"{self.path} must have one playlists*.jsonl.gz, not {len(lists)}")
        return lists[0]

    def _columns(self, path: Path) -> tuple[DelimitedFile, TrackColumns]:
        """The file of tracks, and what its columns hold."""
        table = DelimitedFile(path, self.bad)
        columns = TrackColumns(
            artist="artists", duration="duration_s", artist_id="artist_ids" if "artist_ids" in table.header else None
        )
        columns.check(table.header, path)
        return table, columns

    def _tracks(self, path: Path) -> Iterator[TrackRecord]:
        table, columns = self._columns(path)
        parser = TrackParser(
            columns, path.parent, scheme="spotify", kind="track", source="spotify", train_allowed=False, bad=self.bad
        )
        for line, row in table.rows():
            cells, where = table.mapping(row), table.where(line)
            record = parser.record(cells, where)
            if record is None:
                continue
            record.fields.update(self._audio(cells, where))
            if genres := cells.get(GENRES):
                record.fields["genres"] = Field(
                    genres.replace("|", ", ").replace("-", " "), self.name, train_allowed=False
                )
            yield record

    def _features(self, path: Path) -> Iterator[TrackRecord]:
        table = DelimitedFile(path, self.bad)
        track = table.needed("track", "track_id")
        for line, row in table.rows():
            fields = self._audio(table.mapping(row), table.where(line))
            if fields:
                yield TrackRecord(f"spotify:track:{row[track]}", fields=fields)

    def _audio(self, cells: Mapping[str, str], where: str) -> dict[str, Field]:
        """The 11 audio features; their source is `spotify/` and the copy they were found in, all of one scale."""
        vector = feature_vector(cells, AUDIO_FEATURES, where, self.bad)
        if vector is None:
            return {}
        source = f"spotify/{cells['source']}" if cells.get("source") else "spotify"
        return {
            "audio_features": Field(
                vector, source, match_score=MATCH_SCORES.get(cells.get("match", "")), train_allowed=False
            )
        }

    def _lists(self, path: Path) -> Iterator[PlaylistRecord]:
        given = self._splits()
        for where, entry in self._entries(path):
            if (when := to_seconds(entry.date)) is None:
                self.bad(where, f"date {shortened(entry.date)} {TIME_RULE}")
                continue
            yield PlaylistRecord(
                f"{entry.playlist_id}@{entry.date}",
                [f"spotify:track:{track}" for track in entry.tracks],
                entry.name or None,
                entry.description or None,
                entry.playlist_id,
                entry.split if given is None else given.get(entry.playlist_id, "train"),
                time=when,
            )

    def _splits(self) -> dict[str, str] | None:
        """Playlist -> split by the file that the options name. Raises `InputError` where it says none."""
        if self.params.splits is None:
            return None
        path = existing(self.path / self.params.splits)
        given = {entry.playlist_id: entry.split for _, entry in self._entries(path) if entry.split is not None}
        if not given:
            raise InputError(f"{path} gives no list a split: name another file in data.options.splits, or leave it out")
        return given

    def _entries(self, path: Path) -> Iterator[tuple[str, _List]]:
        with opened(path) as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield f"{path}, line {number}", _LIST.decode(line)
                except BROKEN_JSON as error:
                    self.bad(f"{path}, line {number}", str(error))

"""Reader for the playlist archive (`playlists*.jsonl.gz` and `tracks.csv.gz`).

A list is one day's version of a playlist; its group is the playlist. Names and audio features come from Spotify's Web
API, whose policy forbids training, also on copies: every field has `train_allowed=False`. The lists of the archive are
under the MIT licence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from pydantic import Field as Option

from toolkit.catalogue.readers.json_keys import repeated_key, twice
from toolkit.catalogue.readers.open_files import BROKEN_JSON, existing, json_lines
from toolkit.catalogue.readers.reader import shortened
from toolkit.catalogue.readers.tables.delimited import DelimitedFile, stripped
from toolkit.catalogue.readers.tables.track_columns import TrackColumns, TrackOrigin, TrackParser, feature_vector
from toolkit.catalogue.readers.tables.track_content import ContentOptions, ContentReader
from toolkit.catalogue.records import Field, PlaylistRecord, Record, TrackRecord
from toolkit.constants import AUDIO_FEATURES
from toolkit.errors import InputError
from toolkit.timestamps import TIME_RULE, to_seconds

TRACKS, FEATURES = "tracks.csv.gz", "audio_features.csv.gz"
GENRES = "artist_genres"  # A column of the file of tracks

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
_KEYS = [f'"{field}"'.encode() for field in _List.__struct_fields__]


class ArchiveParams(ContentOptions):
    splits: Path | None = Option(
        None,
        description="another file of lists, relative to the data, with the split of each playlist; others are train",
    )


class ArchiveReader(ContentReader):
    """Reader for versions of public playlists in the playlist archive.

    Tracks are read first, then audio features if they are in a separate file, then playlists.
    """

    name = "archive"
    Params = ArchiveParams
    params: ArchiveParams
    kind = "track"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return (path / "tracks.csv.gz").is_file() and any(path.glob("playlists*.jsonl.gz"))

    def check_source(self) -> None:
        self._file_of_lists()
        self._columns(self.path / TRACKS)
        if self.params.splits is not None:
            existing(self.path / self.params.splits)
        super().check_source()

    def fields_offered(self) -> set[str]:
        table, columns = self._columns(self.path / TRACKS)
        audio = {*AUDIO_FEATURES} <= {*table.header} or (self.path / FEATURES).is_file()
        extra = {"audio_features": audio, "genres": GENRES in table.header}
        found = columns.offered(table.header) | {name for name, there in extra.items() if there}
        return found | super().fields_offered()

    def id_scheme(self) -> str:
        return "spotify"

    def _read(self) -> Iterator[Record]:
        lists = self._file_of_lists()
        yield from self._tracks(self.path / TRACKS)
        if (features := self.path / FEATURES).is_file():
            yield from self._features(features)
        yield from self._lists(lists)

    def _file_of_lists(self) -> Path:
        lists = sorted(existing(self.path).glob("playlists*.jsonl.gz"))
        if len(lists) != 1:
            raise InputError(
                f"{self.path} has {len(lists)} files playlists*.jsonl.gz and must have exactly 1: remove or add files"
            )
        return lists[0]

    def _columns(self, path: Path) -> tuple[DelimitedFile, TrackColumns]:
        """Return the track file and its columns."""
        table = DelimitedFile(path, self.bad)
        columns = TrackColumns(
            artist="artists", duration="duration_s", artist_id="artist_ids" if "artist_ids" in table.header else None
        )
        columns.check(table.header, path)
        return table, columns

    def _tracks(self, path: Path) -> Iterator[TrackRecord]:
        table, columns = self._columns(path)
        origin = TrackOrigin(scheme="spotify", source="spotify", train_allowed=False)
        parser = TrackParser(columns, path.parent, origin, self.bad, self.files, kind="track")
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
            if fields := self._audio(table.mapping(row), table.where(line)):
                if identifier := stripped(row[track]):
                    yield TrackRecord(f"spotify:track:{identifier}", fields=fields)
                else:
                    self.bad(table.where(line), "must have a value for track_id")

    def _audio(self, cells: Mapping[str, str], where: str) -> dict[str, Field]:
        """Return the 11 audio features with the source `spotify/<copy>`. All copies have the same scale."""
        vector = feature_vector(cells, AUDIO_FEATURES, where, self.bad)
        if vector is None:
            return {}
        source = f"spotify/{cells['source']}" if cells.get("source") else "spotify"
        score = MATCH_SCORES.get(cells.get("match", ""))
        return {"audio_features": Field(vector, source, match_score=score, train_allowed=False)}

    def _lists(self, path: Path) -> Iterator[PlaylistRecord]:
        splits = self._splits()
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
                entry.split if splits is None else splits.get(entry.playlist_id, "train"),
                time=when,
            )

    def _splits(self) -> dict[str, str] | None:
        """Return the split by playlist from the option `splits`. Raises `InputError` if no playlist has a split."""
        if self.params.splits is None:
            return None
        path = existing(self.path / self.params.splits)
        splits = {entry.playlist_id: entry.split for _, entry in self._entries(path) if entry.split is not None}
        if not splits:
            raise InputError(
                f"{path} must have playlists with a split: set data.options.splits to another file or remove the option"
            )
        return splits

    def _entries(self, path: Path) -> Iterator[tuple[str, _List]]:
        for number, line in json_lines(path, self.bad):
            try:
                entry = _LIST.decode(line)
                repeated = repeated_key(line) if any(line.count(key) > 1 for key in _KEYS) else None
            except BROKEN_JSON as error:
                self.bad(f"{path}, line {number}", str(error))
                continue
            if repeated is not None:
                self.bad(f"{path}, line {number}", twice(repeated))
            elif entry.playlist_id and all(entry.tracks):
                yield f"{path}, line {number}", entry
            else:
                self.bad(f"{path}, line {number}", "must have a playlist_id and must not have an empty track id")

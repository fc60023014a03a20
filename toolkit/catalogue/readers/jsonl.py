"""Reader for JSON Lines files with one playlist per line, optionally gzipped.

A playlist's tracks are ids, or objects that describe them:

    {"id": "1", "title": "Morning", "tracks": ["local:a", {"id": "local:b", "title": "B", "artist": "Bo"}]}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from itertools import islice
from pathlib import Path

from pydantic import Field as Option

from toolkit.catalogue.readers.ids import qualified
from toolkit.catalogue.readers.open_files import Bad, has_ending, with_playlists
from toolkit.catalogue.readers.reader import FileReader, shortened
from toolkit.catalogue.readers.tables.delimited import nearest, stripped
from toolkit.catalogue.readers.tables.json_objects import Line, json_objects
from toolkit.catalogue.readers.tables.label_counts import LabelCounter
from toolkit.catalogue.readers.tables.row_files import (
    RowFile,
    check_columns,
    described_tracks,
    offered_fields,
    open_rows,
)
from toolkit.catalogue.readers.tables.track_columns import (
    NAMES,
    PLAYLIST_FIELDS,
    TrackColumns,
    TrackOrigin,
    TrackParser,
    TrackTable,
    cell_text,
    id_fault,
    id_text,
    text_fault,
)
from toolkit.catalogue.records import LONGEST_PLAYLIST, PlaylistRecord, Record, TrackRecord
from toolkit.errors import InputError
from toolkit.timestamps import NO_TIME, TIME_RULE, to_seconds

FIRST = 1000  # lines that are inspected before a run


class JsonTrackTable(TrackTable):
    """Second JSON Lines file with one track per line."""

    track: str = "id"


class JsonlParams(TrackColumns, TrackOrigin):
    """Keys of playlist objects; `track`, `title` and similar options are keys of track objects."""

    playlist: str = Option("id", description="the playlist's id: text or a number")
    items: str = Option("tracks", description="the list of tracks")
    track: str = "id"
    playlist_title: str = "title"
    description: str = "description"
    group: str = "group"
    split: str = "split"
    playlist_fields: dict[str, str] = PLAYLIST_FIELDS
    time: str | None = Option(
        None, description="when the playlist was made or last changed: ISO 8601, or seconds since 1970"
    )
    tracks: JsonTrackTable | None = None
    source: str = "jsonl"


class JsonlReader(FileReader):
    """Reader for JSON Lines files with one playlist per line.

    Track metadata is in the playlists or in a second file.
    """

    name = "jsonl"
    Params = JsonlParams
    params: JsonlParams

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return has_ending(path, ".jsonl", ".ndjson")

    def brief(self) -> Iterator[Record]:
        """Yield the same records without counting labels, which matter only to a catalogue."""
        return with_playlists(self._records(counted=False), self.path)

    def _read(self) -> Iterator[Record]:
        return self._records(counted=True)

    def _records(self, *, counted: bool) -> Iterator[Record]:
        if self.params.tracks is not None:
            yield from self._track_file(self.params.tracks)
        parser, seen = TrackParser(self.params, self.path.parent, self.params, self.bad, self.files), set[str]()
        missing, labels = self._named(), LabelCounter(self.params.content_columns() if counted else {})
        for where, line in self._objects(self.path):
            missing -= line.keys()
            playlist, tracks = self._playlist(line, where, parser) or (None, [])
            for track in tracks:
                if track.id not in seen:
                    seen.add(track.id)
                    yield track
            if playlist is not None:
                self._count(labels, playlist.id, line)
                yield playlist
        self.labels = labels.counts()
        if missing:
            raise _missing_key(self.path, missing, "the reader's options")

    def _count(self, labels: LabelCounter, playlist: str, line: Line) -> None:
        """Count the content of the track objects of a playlist."""
        listed = line[self.params.items]
        for item in listed if labels.columns and isinstance(listed, list) else ():
            if isinstance(item, dict) and item.get(self.params.track) is not None:
                cells = (item.get(name) for name in labels.columns)
                texts = [cell if isinstance(cell, str | None) else str(cell) for cell in cells]
                labels.add_row(playlist, id_text(item[self.params.track]) or "", texts)

    def check_source(self) -> None:
        params, (lines, whole) = self.params, self._first(self.path)
        known = {key for line in lines for key in line}
        for option in ("playlist", "items") if lines else ():
            if (key := getattr(params, option)) not in known:
                raise InputError(f"{self.path} has no key {key!r} (option {option}): {nearest(key, sorted(known))}")
        if whole and (missing := self._named() - known):
            raise _missing_key(self.path, missing, "the reader's options")
        if params.tracks is not None:
            self._side(params.tracks)

    def fields_offered(self) -> set[str]:
        lines, whole = self._first(self.path)
        items = [item for line in lines if isinstance(listed := line.get(self.params.items), list) for item in listed]
        found = self._offered(self.params, [item for item in items if isinstance(item, dict)], whole)
        if self.params.tracks is not None:
            found |= offered_fields(self._side(self.params.tracks), self.params.tracks)
        return found

    @staticmethod
    def _offered(columns: TrackColumns, objects: Sequence[Line], whole: bool) -> set[str]:
        """Return possible fields of tracks, from the options and the first track objects."""
        seen = {key for item in objects for key in item}
        if not whole:
            return columns.offered({*seen, *(getattr(columns, name) or name for name in NAMES)})
        lost = {option.partition(".")[2] for column, option in columns.named_columns().items() if column not in seen}
        return columns.offered(seen) - lost

    def _first(self, path: Path) -> tuple[list[Line], bool]:
        """Return the first objects of a file and whether these are all. Faults are reported by `read`."""
        found = [line for _, line in islice(self._objects(path, lambda *_: None), FIRST + 1)]
        return found[:FIRST], len(found) <= FIRST

    def _named(self) -> set[str]:
        """Return optional keys that are set in the options, which must occur in the data."""
        options = {"playlist_title", "description", "group", "split", "time"} & self.params.model_fields_set
        named = {getattr(self.params, option) for option in options} - {None}
        return named | set(self.params.playlist_fields.values())

    def _playlist(self, line: Line, where: str, parser: TrackParser) -> tuple[PlaylistRecord, list[TrackRecord]] | None:
        """Return a playlist and the tracks with metadata, or None if the line is not a playlist."""
        params = self.params
        keys = params.playlist, params.playlist_title, params.description, params.group, params.split
        for key in (*keys, *params.playlist_fields.values()):
            if (fault := text_fault(line.get(key))) is not None:
                self.bad(where, f"{key!r}{fault}")
                return None
        time = cell_text(line.get(params.time)) if params.time is not None else None
        if (when := NO_TIME if time is None else to_seconds(time)) is None:
            self.bad(where, f"{params.time!r}={shortened(time)} {TIME_RULE}")
            return None
        if (fault := id_fault(line.get(params.playlist))) is not None:
            self.bad(where, f"{params.playlist!r}{fault}")
            return None
        name = id_text(line.get(params.playlist))
        title, description, group, split = (cell_text(line.get(key)) for key in keys[1:])
        if name is None:
            key = params.playlist
            missing = f"has no {key!r} (option playlist): {nearest(key, list(line))}"
            self.bad(where, f"has an empty {key!r}" if key in line else missing)
            return None
        listed = line.get(params.items)
        if not isinstance(listed, list):
            self.bad(where, f"{params.items!r} must be a list of tracks (option items)")
            return None
        if len(listed) > LONGEST_PLAYLIST:
            self.bad(where, f"must have at most {LONGEST_PLAYLIST:,} tracks: split the playlist")
            return None
        read = [self._track(item, f"{where}, track {index}", parser) for index, item in enumerate(listed)]
        ids = [track if isinstance(track, str) else track.id for track in read if track is not None]
        described = [track for track in read if isinstance(track, TrackRecord)]
        fields = {field: cell_text(line.get(key)) for field, key in params.playlist_fields.items()}
        return PlaylistRecord(name, ids, title, description, group, split, time=when, fields=fields), described

    def _track(self, item: object, where: str, parser: TrackParser) -> TrackRecord | str | None:
        if isinstance(item, str) and (text := stripped(item)):
            return qualified(text, self.params.scheme)
        if isinstance(item, dict):
            return parser.record(item, where)
        if isinstance(item, int | float) and id_fault(item) is None and (name := id_text(item)) is not None:
            return qualified(name, self.params.scheme)
        self.bad(where, f"{shortened(item)} must be an id or an object")
        return None

    def _side(self, columns: TrackTable) -> RowFile:
        """Return the track file. Raises `InputError` for a missing key."""
        file = open_rows(columns, self.path.parent, self.bad, lines=True)
        check_columns(file, columns)
        return file

    def _track_file(self, columns: TrackTable) -> Iterator[TrackRecord]:
        file = self._side(columns)
        parser = TrackParser(columns, file.path.parent, self.params, self.bad, self.files)
        yield from described_tracks(file, parser, self.doubles)

    def _objects(self, path: Path, bad: Bad | None = None) -> Iterator[tuple[str, Line]]:
        return json_objects(path, bad or self.bad)


def _missing_key(path: Path, keys: Set[str], options: str) -> InputError:
    return InputError(f"{path} has no key {min(keys)!r} in any line: correct {options}")

"""Base class of the XSPF, JSPF and M3U readers, which read one playlist per file.

Elements: https://www.xspf.org/spec.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.catalogue.readers.ids import by_location, by_name, recognised
from toolkit.catalogue.readers.open_files import Oversized, files_of, has_ending, storable
from toolkit.catalogue.readers.reader import shortened
from toolkit.catalogue.readers.tables.track_content import ContentOptions, ContentReader
from toolkit.catalogue.records import LARGEST, LONGEST_PLAYLIST, Field, PlaylistRecord, Record, TrackRecord
from toolkit.timestamps import NO_TIME, TIME_RULE, to_seconds


@dataclass
class Entry:
    """Track element with a duration in seconds and the time at which it was added."""

    identifiers: list[str] = field(default_factory=list)
    locations: list[str] = field(default_factory=list)
    title: str | None = None
    creator: str | None = None
    album: str | None = None
    duration: float | None = None
    time: int = NO_TIME


@dataclass
class Sheet:
    """Values of a playlist, with the creation date as written."""

    title: str | None = None
    annotation: str | None = None
    date: str | None = None


class BadSheet(Exception):
    """Error that a file is not a playlist of the format. The message is the reason."""


class SharedPlaylistParams(ContentOptions):
    source: str | None = None
    train_allowed: bool | None = None


class SharedPlaylistReader(ContentReader):
    """Reader for a file or a folder of files. The id of a playlist is the file path relative to the folder.

    The id of a track is the first Spotify, MusicBrainz or ISRC identifier, or the first location, the first
    identifier, or artist and title.
    """

    Params = SharedPlaylistParams
    params: SharedPlaylistParams
    endings: tuple[str, ...]

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return has_ending(path, *cls.endings) or (path.is_dir() and any(path.rglob(f"*{cls.endings[0]}*")))

    def check_source(self) -> None:
        files_of(self.path, *self.endings)
        super().check_source()

    def fields_offered(self) -> set[str]:
        return {"title", "artist", "album", "duration"} | super().fields_offered()

    @abstractmethod
    def entries(self, file: Path, sheet: Sheet) -> Iterator[Entry]:
        """Yield the tracks in a file, and set the values of the playlist. Raises `BadSheet`."""

    def fields_of(self, entry: Entry, file: Path) -> dict[str, Field]:
        """Return fields of a track beyond names and duration, by default none."""
        return {}

    def _read(self) -> Iterator[Record]:
        root = self.path if self.path.is_dir() else self.path.parent
        seen: set[str] = set()
        for file in files_of(self.path, *self.endings):
            sheet, tracks, times, fresh = Sheet(), list[str](), list[int](), dict[str, TrackRecord]()
            try:
                for index, entry in enumerate(self.entries(file, sheet)):
                    if index == LONGEST_PLAYLIST:
                        raise BadSheet(f"has more than {LONGEST_PLAYLIST:,} tracks: split the playlist")
                    track = self._track(entry, index, file, root)
                    if track is not None:
                        if track.id not in seen:
                            track = fresh.setdefault(track.id, track)
                        tracks.append(track.id)
                        times.append(entry.time)
            except (BadSheet, Oversized) as error:
                self.bad(str(file), str(error))
                continue
            if not tracks:
                self.bad(str(file), "must contain a track")
                continue
            yield from fresh.values()
            seen |= fresh.keys()
            yield PlaylistRecord(
                storable(file.relative_to(root).as_posix()),
                tracks,
                sheet.title or storable(file.stem),
                sheet.annotation,
                times=times if any(time != NO_TIME for time in times) else None,
                time=self._made(sheet.date, file),
            )

    def _made(self, date: str | None, file: Path) -> int:
        when = NO_TIME if date is None else to_seconds(date)
        if when is None:
            self.bad(str(file), f"date {shortened(date)} {TIME_RULE}")
        return NO_TIME if when is None else when

    def _track(self, entry: Entry, index: int, file: Path, root: Path) -> TrackRecord | None:
        identifier = _identifier(entry, file, root)
        if identifier is None:
            self.bad(f"{file}, track {index}", "must have an identifier, location or title")
            return None
        return TrackRecord(
            identifier,
            entry.title,
            (entry.creator,) if entry.creator else (),
            (),
            entry.album,
            None,
            self._duration(entry.duration, index, file),
            self.fields_of(entry, file),
            source=self.params.source or self.name,
            train_allowed=self.params.train_allowed,
        )

    def _duration(self, seconds: float | None, index: int, file: Path) -> float | None:
        if seconds is not None and not 0 <= seconds <= LARGEST:
            self.bad(f"{file}, track {index}", f"duration {seconds:g} s must be a number >= 0")
            return None
        return seconds or None


def _identifier(entry: Entry, file: Path, root: Path) -> str | None:
    for candidate in (*entry.identifiers, *entry.locations):
        if (known := recognised(candidate)) is not None:
            return known
    if entry.locations:
        return by_location(entry.locations[0], file, root)
    if entry.identifiers:
        return by_location(entry.identifiers[0], file, root)
    return by_name(entry.title, entry.creator) if entry.title else None

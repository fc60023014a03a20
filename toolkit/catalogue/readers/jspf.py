"""JSPF, the JSON form of XSPF, as ListenBrainz and others export it (https://www.xspf.org/jspf)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from toolkit.catalogue.readers.open_files import BROKEN_JSON, has_ending, read_bytes
from toolkit.catalogue.readers.reader import shortened
from toolkit.catalogue.readers.shared_playlist import Entry, SharedPlaylistReader, Sheet
from toolkit.timestamps import NO_TIME, TIME_RULE, to_seconds

ADDED = "https://musicbrainz.org/doc/jspf#track"
"""The extension of a track in which ListenBrainz says when it was added."""


class _Track(msgspec.Struct):
    # the specification has lists here, exporters also write a bare string
    identifier: list[str] | str | None = None
    location: list[str] | str | None = None
    title: str | None = None
    creator: str | None = None
    album: str | None = None
    duration: float | None = None
    extension: Any = None


class _Playlist(msgspec.Struct):
    track: list[_Track]
    title: str | None = None
    annotation: str | None = None
    date: str | None = None


class _File(msgspec.Struct):
    playlist: _Playlist


_FILE = msgspec.json.Decoder(_File)


class JspfReader(SharedPlaylistReader):
    """Reads JSPF files with one playlist per file."""

    name = "jspf"
    endings = (".jspf",)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return has_ending(path, *cls.endings) or (path.is_dir() and any(path.rglob("*.jspf")))

    def parse(self, file: Path) -> Sheet | None:
        try:
            playlist = _FILE.decode(read_bytes(file).removeprefix(b"\xef\xbb\xbf")).playlist
        except BROKEN_JSON as error:
            self.bad(str(file), f"is not JSPF: {error}")
            return None
        tracks = [self._entry(track, f"{file}, track {index}") for index, track in enumerate(playlist.track)]
        return Sheet(tracks, playlist.title, playlist.annotation, playlist.date)

    def _entry(self, track: _Track, where: str) -> Entry:
        about = (track.title, track.creator, track.album, track.duration)
        return Entry(_listed(track.identifier), _listed(track.location), *about, self._time(track.extension, where))

    def _time(self, extension: Any, where: str) -> int:
        told = extension.get(ADDED) if isinstance(extension, dict) else None
        # the specification has lists of what an application says, ListenBrainz writes the one thing it says
        told = told[0] if isinstance(told, list) and told else told
        added = told.get("added_at") if isinstance(told, dict) else None
        if added is None:
            return NO_TIME
        if (when := to_seconds(str(added))) is None:
            self.bad(where, f"added_at {shortened(added)} {TIME_RULE}")
            return NO_TIME
        return when


def _listed(value: list[str] | str | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []

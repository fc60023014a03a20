"""Reader for JSPF, the JSON form of XSPF (https://www.xspf.org/jspf)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from toolkit.catalogue.readers.json_keys import repeated_key, twice
from toolkit.catalogue.readers.open_files import BOM, BROKEN_JSON, read_bytes
from toolkit.catalogue.readers.reader import shortened
from toolkit.catalogue.readers.shared_playlist import BadSheet, Entry, SharedPlaylistReader, Sheet
from toolkit.catalogue.readers.tables.track_columns import cell_text
from toolkit.timestamps import NO_TIME, TIME_RULE, to_seconds

ADDED = "https://musicbrainz.org/doc/jspf#track"
"""ListenBrainz's extension of a track, with the time when it was added."""


OBJECTS = 5_000_000
"""JSON objects of a file, which bound its memory: two or three for each track of a long playlist."""


class _Track(msgspec.Struct):
    # the specification has lists here, exporters also write a bare string
    identifier: list[str] | str | None = None
    location: list[str] | str | None = None
    title: str | None = None
    creator: str | None = None
    album: str | None = None
    duration: float | None = None
    extension: object = None


class _Playlist(msgspec.Struct):
    track: list[_Track]
    title: str | None = None
    annotation: str | None = None
    date: str | None = None


class _File(msgspec.Struct):
    playlist: _Playlist


_FILE = msgspec.json.Decoder(_File)


class JspfReader(SharedPlaylistReader):
    """Reader for JSPF files with one playlist per file."""

    name = "jspf"
    endings = (".jspf",)

    def entries(self, file: Path, sheet: Sheet) -> Iterator[Entry]:
        data = read_bytes(file)
        if data.startswith(BOM):
            del data[: len(BOM)]
        if data.count(b"{") > OBJECTS:
            raise BadSheet(f"has more than {OBJECTS:,} objects: split the playlist")
        try:
            playlist, repeated = _FILE.decode(data).playlist, repeated_key(data)
        except BROKEN_JSON as error:
            raise BadSheet(f"is not JSPF ({error})") from None
        if repeated is not None:
            raise BadSheet(twice(repeated))
        del data
        sheet.title, sheet.annotation, sheet.date = map(cell_text, (playlist.title, playlist.annotation, playlist.date))
        for index, track in enumerate(playlist.track):
            yield self._entry(track, f"{file}, track {index}")

    def _entry(self, track: _Track, where: str) -> Entry:
        title, creator, album = map(cell_text, (track.title, track.creator, track.album))
        seconds, added = None if track.duration is None else track.duration / 1000, self._time(track.extension, where)
        return Entry(_listed(track.identifier), _listed(track.location), title, creator, album, seconds, added)

    def _time(self, extension: object, where: str) -> int:
        content = extension.get(ADDED) if isinstance(extension, dict) else None
        # in the specification an extension holds a list, ListenBrainz writes its only entry
        content = content[0] if isinstance(content, list) and content else content
        added = content.get("added_at") if isinstance(content, dict) else None
        if added is None:
            return NO_TIME
        if (when := to_seconds(str(added))) is None:
            self.bad(where, f"added_at {shortened(added)} {TIME_RULE}")
            return NO_TIME
        return when


def _listed(value: list[str] | str | None) -> list[str]:
    """Return the values that are not empty."""
    return [text for one in ([value] if isinstance(value, str) else value or []) if (text := cell_text(one))]

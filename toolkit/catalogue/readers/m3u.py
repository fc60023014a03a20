"""Reader for M3U and M3U8 files with one playlist per file.

The directives `#PLAYLIST`, `#EXTINF` (seconds, "artist - title"), `#EXTART` and `#EXTALB` are read; others are
comments. An `.m3u` file that is not valid UTF-8 is Latin-1, as players write it; `.m3u8` is UTF-8 by definition.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from toolkit.catalogue.normalised_names import normalised
from toolkit.catalogue.readers.ids import local_path
from toolkit.catalogue.readers.open_files import has_ending, read_bytes
from toolkit.catalogue.readers.shared_playlist import Entry, SharedPlaylistParams, SharedPlaylistReader, Sheet
from toolkit.catalogue.records import Field

_EXTINF = re.compile(r"\s*(-?\d+(?:\.\d+)?)[^,]*(?:,(.*))?")


class M3uParams(SharedPlaylistParams):
    """Options; `audio` copies audio files into the catalogue as field `audio`."""

    audio: bool = False
    source: str = "m3u"


class M3uReader(SharedPlaylistReader):
    """Reader for M3U and M3U8 files with one playlist per file.

    The id of a playlist is the file path relative to the path that is read.
    """

    name = "m3u"
    Params = M3uParams
    params: M3uParams
    endings = (".m3u", ".m3u8")

    def fields_offered(self) -> set[str]:
        return super().fields_offered() | ({"audio"} if self.params.audio else set())

    def parse(self, file: Path) -> Sheet | None:
        text = self._text(file)
        if text is None:
            return None
        sheet, about = Sheet([]), Entry()  # directives since the last entry
        for number, line in enumerate(text.splitlines(), start=1):
            line = line.strip()
            if line.upper().startswith("#PLAYLIST:"):
                sheet.title = line[10:].strip()
            elif line.startswith("#"):
                self._directive(line, about, f"{file}, line {number}")
            elif line:
                sheet.tracks.append(_entry(line, about))
                about = Entry(album=about.album)  # kept until the next #EXTALB
        return sheet

    def fields_of(self, entry: Entry, file: Path) -> dict[str, Field]:
        params, written = self.params, local_path(entry.locations[0])
        if not params.audio or written is None or not self.files.exists(file.parent / written):
            return {}
        return {"audio": Field(file.parent / written, params.source, train_allowed=params.train_allowed)}

    def _text(self, file: Path) -> str | None:
        data = read_bytes(file)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if not has_ending(file, ".m3u"):
                self.bad(
                    str(file), f"must be UTF-8 because of the suffix .m3u8 (byte {error.start}): save the file as UTF-8"
                )
                return None
            text = data.decode("latin-1")
        if "#EXT-X-" in text:
            self.bad(str(file), "must be a playlist and not an HLS stream")
            return None
        return text

    def _directive(self, line: str, about: Entry, where: str) -> None:
        key, _, value = line.partition(":")
        value = value.strip()
        if key.upper() == "#EXTART":
            about.creator = value or None
        elif key.upper() == "#EXTALB":
            about.album = value or None
        elif key.upper() == "#EXTINF":
            match = _EXTINF.fullmatch(value)
            if match is None or math.isinf(float(match[1])):
                self.bad(where, f"#EXTINF:{value[:80]} must start with a number of seconds")
                return
            about.duration = float(match[1]) if float(match[1]) > 0 else None  # -1 means unknown
            about.title = (match[2] or "").strip() or None


def _entry(line: str, about: Entry) -> Entry:
    """Return a track at the location `line`, with artist and title separated."""
    artist, title = about.creator, about.title
    before, dash, after = (title or "").partition(" - ")
    if dash and (artist is None or normalised(before) == normalised(artist)):
        artist, title = artist or before, after
    return Entry([], [line], title, artist, about.album, about.duration)

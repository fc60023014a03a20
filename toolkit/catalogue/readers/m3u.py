"""Reader for M3U and M3U8 files with one playlist per file.

The directives `#PLAYLIST`, `#EXTINF` (seconds, "artist - title"), `#EXTART` and `#EXTALB` are read; others are
comments. An `.m3u` file that is not valid UTF-8 is Latin-1, as players write it; `.m3u8` is UTF-8 by definition.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from pathlib import Path

from toolkit.catalogue.normalised_names import normalised
from toolkit.catalogue.readers.ids import local_path
from toolkit.catalogue.readers.open_files import (
    BLANKS,
    BOM,
    ROW_CHARACTERS,
    TOO_LONG,
    UTF_16,
    bounded_lines,
    has_ending,
    opened,
)
from toolkit.catalogue.readers.shared_playlist import BadSheet, Entry, SharedPlaylistParams, SharedPlaylistReader, Sheet
from toolkit.catalogue.records import LONGEST_PLAYLIST, Field

_EXTINF = re.compile(
    r"(-?[0-9]+(?:\.[0-9]+)?)"
    r"""(?:=(?:"[^"]*"|'[^']*')(?=[\s,]|\Z)|[^,=]++|=)*+"""  # attributes, whose values may contain commas
    r"(?:,(.*))?",
    re.DOTALL,
)

LINES = 5 * LONGEST_PLAYLIST
"""Lines of a file: a location and four directives for each track."""


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

    def entries(self, file: Path, sheet: Sheet) -> Iterator[Entry]:
        encoding, about = self._encoding(file), Entry()  # directives since the last entry
        for number, line in enumerate(_lines(file), start=1):
            # a byte that is not UTF-8 can only come from a change between the two passes
            text = _unmarked(line).decode(encoding, "replace").strip(BLANKS)
            if text.upper().startswith("#PLAYLIST:"):
                sheet.title = text[10:].strip(BLANKS)
            elif text.startswith("#EXT-X-"):
                raise BadSheet("must be a playlist and not an HLS stream")
            elif text.startswith("#"):
                self._directive(text, about, f"{file}, line {number}")
            elif text:
                yield _entry(text, about)
                about = Entry(album=about.album)  # kept until the next #EXTALB

    def fields_of(self, entry: Entry, file: Path) -> dict[str, Field]:
        params, written = self.params, local_path(entry.locations[0])
        if not params.audio or written is None or not self.files.exists(file.parent / written):
            return {}
        return {"audio": Field(file.parent / written, params.source, train_allowed=params.train_allowed)}

    def _encoding(self, file: Path) -> str:
        """Return UTF-8, or Latin-1 for an .m3u file with a line that is not UTF-8."""
        start = 0
        for number, line in enumerate(_lines(file), start=1):
            if b"\0" in line:
                raise BadSheet(f"contains NUL in line {number}, as UTF-16 text does: save the file as UTF-8")
            if b"\r" in line.rstrip(b"\r\n"):
                raise BadSheet(f"has a carriage return (CR) inside line {number}: end lines with LF or CRLF")
            try:
                line.decode()
            except UnicodeDecodeError as error:
                if has_ending(file, ".m3u"):
                    return "latin-1"
                raise BadSheet(
                    f"must be UTF-8 because of the suffix .m3u8 (byte {start + error.start}): save the file as UTF-8"
                ) from None
            start += len(line)
        return "utf-8"

    def _directive(self, line: str, about: Entry, where: str) -> None:
        key, _, value = line.partition(":")
        value = value.strip(BLANKS)
        if key.upper() == "#EXTART":
            about.creator = value or None
        elif key.upper() == "#EXTALB":
            about.album = value or None
        elif key.upper() == "#EXTINF":
            match = _EXTINF.fullmatch(value)
            if match is None or not math.isfinite(float(match[1])):
                self.bad(where, f"#EXTINF:{value[:80]} must start with a number of seconds")
                return
            about.duration = float(match[1]) if float(match[1]) > 0 else None  # -1 means unknown
            about.title = (match[2] or "").strip(BLANKS) or None


def _lines(file: Path) -> Iterator[bytes]:
    """Yield lines, which LF or CRLF end, or CR in a file without LF. UTF-16 with a byte order mark becomes UTF-8.

    Raises `BadSheet` for a line that is too long, and for too many lines.
    """
    for number, line in enumerate(_unbounded(file), start=1):
        if line is None:
            raise BadSheet(f"has a line {number} that {TOO_LONG}")
        if number > LINES:
            raise BadSheet(f"has more than {LINES:,} lines: split the playlist")
        yield line


def _unmarked(line: bytes) -> bytes:
    """Return a line without byte order marks before it, which files that were joined have in the middle too."""
    while line.startswith(BOM):
        line = line.removeprefix(BOM)
    return line


def _unbounded(file: Path) -> Iterator[bytes | None]:
    with opened(file) as data:
        marked = data.read(2) in UTF_16
        data.seek(0)
        if marked:
            try:
                with io.TextIOWrapper(data, encoding="utf-16", newline="\n") as text:
                    for decoded in bounded_lines(text, "\n", ROW_CHARACTERS):
                        yield None if decoded is None else decoded.encode()
            except UnicodeError as error:
                raise BadSheet(f"must be UTF-16 like its first bytes ({error.args[-1]}): save it as UTF-8") from None
            return
        for number, line in enumerate(bounded_lines(data, b"\n", ROW_CHARACTERS)):
            if number == 0 and line is not None and not line.endswith(b"\n"):
                yield from line.split(b"\r")  # all of the file
            else:
                yield line


def _entry(line: str, about: Entry) -> Entry:
    """Return a track at the location `line`, with artist and title separated."""
    artist, title = about.creator, about.title
    before, dash, after = (title or "").partition(" - ")
    if dash and (artist is None or normalised(before) == normalised(artist)):
        artist, title = artist or before, after
    return Entry([], [line], title, artist, about.album, about.duration)

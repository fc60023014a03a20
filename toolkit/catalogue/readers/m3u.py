"""M3U and M3U8: one playlist a file, or a folder of them.

The directives `#PLAYLIST`, `#EXTINF` (seconds, "artist - title"), `#EXTART` and `#EXTALB` are read; others are
comments. An `.m3u` file that is not valid UTF-8 is Latin-1, as players write it; `.m3u8` is UTF-8 by definition.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolkit.catalogue.readers.ids import by_location, local_path, recognised
from toolkit.catalogue.readers.open_files import files_of, has_ending, is_file, read_bytes
from toolkit.catalogue.readers.reader import FileReader, ReaderParams
from toolkit.catalogue.records import Field, PlaylistRecord, Record, TrackRecord

ENDINGS = (".m3u", ".m3u8")
_EXTINF = re.compile(r"\s*(-?\d+(?:\.\d+)?)[^,]*(?:,(.*))?")


class M3uParams(ReaderParams):
    """audio: copy the audio files into the catalogue's blobs, as field `audio`."""

    audio: bool = False
    source: str = "m3u"
    train_allowed: bool | None = None


@dataclass
class _About:
    """Directives since the last entry. `album` is kept until the next `#EXTALB`."""

    duration: float | None = None
    title: str | None = None
    artist: str | None = None
    album: str | None = None


class M3uReader(FileReader):
    """Reads M3U and M3U8 files with one playlist per file.

    A playlist's id is the path of its file, relative to the path that is read.
    """

    name = "m3u"
    Params = M3uParams
    params: M3uParams

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return has_ending(path, ".m3u", ".m3u8") or (path.is_dir() and any(path.rglob("*.m3u*")))

    def check_source(self) -> None:
        files_of(self.path, *ENDINGS)

    def fields_offered(self) -> set[str]:
        return {"title", "artist", "album", "duration", *(["audio"] if self.params.audio else [])}

    def _read(self) -> Iterator[Record]:
        root = self.path if self.path.is_dir() else self.path.parent
        seen: set[str] = set()
        for file in files_of(self.path, *ENDINGS):
            text = self._text(file)
            if text is None:
                continue
            title, tracks = file.stem, []
            for entry in self._entries(text, file, root):
                if isinstance(entry, str):
                    title = entry
                    continue
                tracks.append(entry.id)
                if entry.id not in seen:
                    seen.add(entry.id)
                    yield entry
            if tracks:
                yield PlaylistRecord(file.relative_to(root).as_posix(), tracks, title)
            else:
                self.bad(str(file), "lists no track")

    def _text(self, file: Path) -> str | None:
        data = read_bytes(file)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if not has_ending(file, ".m3u"):
                self.bad(str(file), f"is not UTF-8 (byte {error.start}), as .m3u8 must be")
                return None
            text = data.decode("latin-1")
        if "#EXT-X-" in text:
            self.bad(str(file), "is a stream (HLS), not a playlist")
            return None
        return text

    def _entries(self, text: str, file: Path, root: Path) -> Iterator[TrackRecord | str]:
        """Tracks in order, and the title of the playlist if the file has one."""
        about = _About()
        for number, line in enumerate(text.splitlines(), start=1):
            line = line.strip()
            if line.upper().startswith("#PLAYLIST:"):
                yield line[10:].strip() or file.stem
            elif line.startswith("#"):
                self._directive(line, about, f"{file}, line {number}")
            elif line:
                yield self._track(line, about, file, root)
                about = _About(album=about.album)

    def _directive(self, line: str, about: _About, where: str) -> None:
        key, _, value = line.partition(":")
        value = value.strip()
        if key.upper() == "#EXTART":
            about.artist = value or None
        elif key.upper() == "#EXTALB":
            about.album = value or None
        elif key.upper() == "#EXTINF":
            match = _EXTINF.fullmatch(value)
            if match is None or math.isinf(float(match[1])):
                self.bad(where, f"#EXTINF:{value[:80]} must begin with a number of seconds")
                return
            about.duration = float(match[1]) if float(match[1]) > 0 else None  # -1 means unknown
            about.title = (match[2] or "").strip() or None

    def _track(self, line: str, about: _About, file: Path, root: Path) -> TrackRecord:
        artist, title = about.artist, about.title
        before, dash, after = (title or "").partition(" - ")
        if dash and (artist is None or before.casefold() == artist.casefold()):
            artist, title = artist or before, after
        params, fields = self.params, {}
        written = local_path(line)
        if params.audio and written is not None and is_file(file.parent / written):
            fields["audio"] = Field(file.parent / written, params.source, train_allowed=params.train_allowed)
        return TrackRecord(
            recognised(line) or by_location(line, file, root),
            title,
            (artist,) if artist else (),
            (),
            about.album,
            None,
            about.duration,
            fields,
            source=params.source,
            train_allowed=params.train_allowed,
        )

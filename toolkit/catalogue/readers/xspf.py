"""Reader for XSPF, the XML Shareable Playlist Format (https://www.xspf.org/spec).

A document type declaration is rejected before its content is read, because XSPF does not use declarations, and
entities could read other files or fill the memory.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from toolkit.catalogue.readers.open_files import BLANKS, pieces
from toolkit.catalogue.readers.reader import shortened
from toolkit.catalogue.readers.shared_playlist import BadSheet, Entry, SharedPlaylistReader, Sheet

_NS = "{http://xspf.org/ns/0/}"

_ROOT, _LIST, _TRACK = (_NS + name for name in ("playlist", "trackList", "track"))

_OF_PLAYLIST = {_NS + name for name in ("title", "annotation", "date")}
_OF_TRACK = {_NS + name for name in ("identifier", "location", "title", "creator", "album", "duration")}

DEEPEST = 100
"""Levels of nested elements, of which XSPF needs five outside extensions."""

Texts = dict[str, list[str]]


class _Parser:
    """Target of the XML parser, which collects the texts of the playlist and of each track.

    - tracks: texts by element name of the tracks since the last call of `taken`.
    """

    def __init__(self) -> None:
        self.about: Texts = {}
        self._tracks: list[Texts] = []
        self._path: list[str] = []
        self._text: list[str] | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._path and tag != _ROOT:
            raise BadSheet(f"must have the root element playlist of http://xspf.org/ns/0/ and has {shortened(tag)}")
        self._path.append(tag)
        if len(self._path) > DEEPEST:
            raise BadSheet(f"has elements nested more than {DEEPEST} deep")
        if self._path == [_ROOT, _LIST, _TRACK]:
            self._tracks.append({})
        if self._in_value():
            self._text = []

    def data(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def end(self, tag: str) -> None:
        if self._text is not None and self._in_value():
            if text := "".join(self._text).strip(BLANKS):
                texts = self._tracks[-1] if len(self._path) == 4 else self.about
                texts.setdefault(tag.removeprefix(_NS), []).append(text)
            self._text = None
        self._path.pop()

    def _in_value(self) -> bool:
        """Return whether the innermost element is a value of the playlist or of a track, which elements may be in."""
        if len(self._path) == 2:
            return self._path[1] in _OF_PLAYLIST
        return len(self._path) == 4 and self._path[1:3] == [_LIST, _TRACK] and self._path[3] in _OF_TRACK

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise BadSheet("must not declare a DOCTYPE")

    def taken(self, *, last: bool) -> list[Texts]:
        """Return the complete tracks and drop them."""
        n = len(self._tracks) if last or len(self._path) < 3 else len(self._tracks) - 1
        complete, self._tracks = self._tracks[:n], self._tracks[n:]
        return complete


class XspfReader(SharedPlaylistReader):
    """Reader for XSPF files with one playlist per file."""

    name = "xspf"
    endings = (".xspf",)

    def entries(self, file: Path, sheet: Sheet) -> Iterator[Entry]:
        target = _Parser()
        parser, index = ET.XMLParser(target=target), 0  # nosec B314 # the target refuses a DOCTYPE, and so every entity
        for piece in chain(pieces(file), (None,)):
            try:
                if piece is None:
                    parser.close()
                else:
                    parser.feed(piece)
            except (ET.ParseError, ValueError, LookupError) as error:  # the last for an unknown encoding
                raise BadSheet(f"is not XML ({error})") from None
            for texts in target.taken(last=piece is None):
                yield self._entry(texts, f"{file}, track {index}")
                index += 1
        sheet.title, sheet.annotation, sheet.date = (
            _first(target.about, name) for name in ("title", "annotation", "date")
        )

    def _entry(self, texts: Texts, where: str) -> Entry:
        return Entry(
            texts.get("identifier", []),
            texts.get("location", []),
            _first(texts, "title"),
            _first(texts, "creator"),
            _first(texts, "album"),
            self._milliseconds(_first(texts, "duration"), where),
        )

    def _milliseconds(self, text: str | None, where: str) -> float | None:
        if text is not None and not (text.isascii() and text.isdecimal() and math.isfinite(float(text))):
            self.bad(where, f"duration {shortened(text)} must be a whole number of milliseconds")
            return None
        return float(text) / 1000 if text else None


def _first(texts: Texts, name: str) -> str | None:
    return next(iter(texts.get(name, ())), None)

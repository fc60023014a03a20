"""Reader for XSPF, the XML Shareable Playlist Format (https://www.xspf.org/spec).

A document type declaration is rejected before its content is read, because XSPF does not use declarations, and
entities could read other files or fill the memory.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

from toolkit.catalogue.readers.open_files import read_bytes
from toolkit.catalogue.readers.reader import shortened
from toolkit.catalogue.readers.shared_playlist import Entry, SharedPlaylistReader, Sheet

_NS = "{http://xspf.org/ns/0/}"


class _Doctype(ValueError):
    """Error that a file declares a document type."""


class _Builder(ET.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise _Doctype


class XspfReader(SharedPlaylistReader):
    """Reader for XSPF files with one playlist per file."""

    name = "xspf"
    endings = (".xspf",)

    def parse(self, file: Path) -> Sheet | None:
        try:
            root = ET.fromstring(read_bytes(file), ET.XMLParser(target=_Builder()))  # nosec B314 # _Builder refuses a DOCTYPE
        except _Doctype:
            self.bad(str(file), "must not declare a DOCTYPE")
            return None
        except (ET.ParseError, ValueError) as error:
            self.bad(str(file), f"is not XML ({error})")
            return None
        if root.tag != f"{_NS}playlist":
            self.bad(str(file), f"must have the root element playlist of http://xspf.org/ns/0/ and has {root.tag!r}")
            return None
        tracks = [
            self._entry(element, f"{file}, track {index}")
            for index, element in enumerate(root.iterfind(f"{_NS}trackList/{_NS}track"))
        ]
        return Sheet(tracks, _text(root, "title"), _text(root, "annotation"), _text(root, "date"))

    def _entry(self, element: ET.Element, where: str) -> Entry:
        return Entry(
            _texts(element, "identifier"),
            _texts(element, "location"),
            _text(element, "title"),
            _text(element, "creator"),
            _text(element, "album"),
            self._duration(_text(element, "duration"), where),
        )

    def _duration(self, text: str | None, where: str) -> float | None:
        if text is not None and not (text.isdecimal() and math.isfinite(float(text))):
            self.bad(where, f"duration {shortened(text)} must be a whole number of milliseconds")
            return None
        return float(text) / 1000 if text else None


def _texts(element: ET.Element, name: str) -> list[str]:
    return [text for child in element.iterfind(_NS + name) if (text := (child.text or "").strip())]


def _text(element: ET.Element, name: str) -> str | None:
    return next(iter(_texts(element, name)), None)

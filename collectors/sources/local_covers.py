"""Album covers that lie beside the music: pictures of a folder, or those embedded in audio files (read by mutagen).

No service is asked. A picture belongs to an album whose id is its name, that its name names (`Artist - Album.jpg`,
`Artist/Album/cover.jpg`), or whose title and artist are in the audio file's tags.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from collectors import matching
from collectors.local_files import Entry, Folder, audio_files, image_files, tags_of
from collectors.source import (
    Absent,
    Ambiguous,
    Answer,
    Entity,
    Found,
    Http,
    Request,
    Source,
    SourceParams,
    Terms,
    Transient,
)
from toolkit.catalogue.image_check import flaw

MAX_BYTES = 64 << 20
FRONT = 3
"""ID3's and FLAC's number for a picture of the front."""


class CoverFolderParams(SourceParams):
    """folder: with the files, at any depth."""

    folder: Path


class LocalCovers(Source):
    """Album covers from the image files of a folder.

    `cover` is the picture as it is in the folder.
    """

    name: ClassVar[str] = "local-covers"
    page: ClassVar[str] = "docs/sources.md"
    fields: ClassVar[Mapping[str, Entity]] = {"cover": "album"}
    terms: ClassVar[Terms] = Terms(None, "that of your files", "docs/sources.md")
    Params: ClassVar[type[SourceParams]] = CoverFolderParams

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        self.files = Folder(self.entries())
        yield

    def entries(self) -> Iterator[Entry]:
        return image_files(self.params.folder)

    def picture(self, entry: Entry) -> bytes | None:
        """The picture of a file, None where it has none."""
        return entry.path.read_bytes() if entry.path.stat().st_size <= MAX_BYTES else None

    def collect(self, request: Request, http: Http) -> Answer:
        found = self.files.of_album(request)
        if found is None:
            return Absent()
        entry, score = found
        try:
            data = self.picture(entry)
        except OSError as error:
            raise Transient(f"{entry.name} cannot be read: {error.strerror}") from None
        if data is None:
            return Absent(f"{entry.name} has no picture")
        if (fault := flaw(data)) is not None:
            return Absent(f"{entry.name} {fault}")
        if matching.verdict(score) == "ambiguous":
            return Ambiguous(score, {"cover": data}, entry.name, data)
        return Found({"cover": data}, score, data)


class EmbeddedCovers(LocalCovers):
    """Album covers that are embedded in the audio files of a folder.

    `cover` is the front cover in an audio file of the album, or else its first picture.
    """

    name: ClassVar[str] = "embedded-covers"
    page: ClassVar[str] = "https://mutagen.readthedocs.io"

    def entries(self) -> Iterator[Entry]:
        return audio_files(self.params.folder, tags=True)

    def picture(self, entry: Entry) -> bytes | None:
        return embedded(entry.path)


def embedded(path: Path) -> bytes | None:
    """The front cover of an audio file (ID3, FLAC, Ogg, MP4, APE), else its first picture, None where there is none."""
    pictures = sorted(_pictures(tags_of(path)), key=lambda picture: picture[0] != FRONT)
    return next((data for _, data in pictures if 0 < len(data) <= MAX_BYTES), None)


def _pictures(file: Any) -> Iterator[tuple[int, bytes]]:
    """(what it shows, its bytes) of every picture."""
    from mutagen.flac import Picture
    from mutagen.flac import error as FlacError

    for picture in getattr(file, "pictures", []):  # FLAC
        yield picture.type, picture.data
    tags: Any = getattr(file, "tags", None) or {}
    for key in list(tags.keys()):
        value = tags[key]
        if key.startswith("APIC"):  # ID3
            yield value.type, value.data
        elif key == "covr":  # MP4
            yield from ((FRONT, bytes(each)) for each in value)
        elif key.lower() == "metadata_block_picture":  # Ogg
            for text in value:
                try:
                    picture = Picture(base64.b64decode(text))
                except (binascii.Error, FlacError, ValueError):
                    continue
                yield picture.type, picture.data
        elif key.lower() == "cover art (front)":  # APE: a name, a zero, the picture
            yield FRONT, value.value.partition(b"\0")[2]

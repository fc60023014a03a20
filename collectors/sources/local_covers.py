"""Album covers from image files or audio files in a folder.

An image matches an album by an id in the file name, by names in the path (`Artist - Album.jpg`,
`Artist/Album/cover.jpg`), or by title and artist in the tags of the audio file.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.local_files import FolderSource, LocalFile, audio_files, image_files, read_tags
from collectors.source import (
    Absent,
    Answer,
    SourceParams,
    Terms,
)
from collectors.sources.matched_answer import answer_by_score
from toolkit.catalogue.image_check import MAX_BYTES, flaw, read_file

if TYPE_CHECKING:
    import mutagen

FRONT = 3
"""The picture type of a front cover in ID3 and FLAC."""


class LocalCovers(FolderSource):
    """Album covers from image files in a folder.

    `cover` is the unchanged image.
    """

    name = "local-covers"
    fields = {"cover": "album"}
    terms = Terms(None, "that of your files", "docs/sources.md")

    class Params(SourceParams):
        """Parameters, with the folder of the files, which may be nested."""

        folder: Path

    def local_files(self) -> Iterator[LocalFile]:
        return image_files(self.params.folder)

    def cover(self, path: Path) -> bytes | None:
        """Return the cover of a file, or None."""
        return read_file(path)

    def answer(self, file: LocalFile, score: float) -> Answer:
        if (data := self.cover(file.path)) is None:
            return Absent(f"{file.name} has no cover")
        if (fault := flaw(data)) is not None:
            return Absent(f"{file.name} {fault}")
        return answer_by_score(score, {"cover": data}, data, note=file.name)


class EmbeddedCovers(LocalCovers):
    """Album covers embedded in audio files in a folder.

    `cover` is the front cover, or otherwise the first picture, in an audio file of the album.
    """

    name = "embedded-covers"
    page = "https://mutagen.readthedocs.io"

    def local_files(self) -> Iterator[LocalFile]:
        return audio_files(self.params.folder, tags=True)

    def cover(self, path: Path) -> bytes | None:
        return embedded_cover(path)


def embedded_cover(path: Path) -> bytes | None:
    """Return the front cover or the first picture of an audio file (ID3, FLAC, Ogg, MP4, APE), or None."""
    pictures = sorted(_pictures(read_tags(path)), key=lambda picture: picture[0] != FRONT)
    return next((data for _, data in pictures if 0 < len(data) <= MAX_BYTES), None)


def _pictures(file: mutagen.FileType | None) -> Iterator[tuple[int, bytes]]:
    """Yield (type, bytes) of all pictures."""
    from mutagen import flac

    for picture in getattr(file, "pictures", []):  # FLAC
        yield picture.type, picture.data
    tags = getattr(file, "tags", None) or {}
    for key in list(tags.keys()):
        value = tags[key]
        if key.startswith("APIC"):  # ID3
            yield value.type, value.data
        elif key == "covr":  # MP4
            yield from ((FRONT, bytes(data)) for data in value)
        elif key.lower() == "metadata_block_picture":  # Ogg
            for text in value:
                try:
                    picture = flac.Picture(base64.b64decode(text))
                except Exception:  # nosec B112 # a damaged picture of a file that has others
                    continue
                yield picture.type, picture.data
        elif key.lower() == "cover art (front)":  # APE: a name, a zero, the picture
            yield FRONT, value.value.partition(b"\0")[2]

"""Files in a folder, found by id, by embedded tags or by name.

The folder is listed first, and requests are looked up in the list. Ids and titles are never used as paths.
"""

from __future__ import annotations

import io
import re
import zlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.file_index import state_of
from collectors.matching import Candidate, nearest, normalise
from collectors.source import Absent, Answer, Http, Request, Source, Transient, Trouble
from toolkit.catalogue.readers.ids import recognised
from toolkit.catalogue.readers.open_files import files_below
from toolkit.errors import InputError, SegueError, first_line

if TYPE_CHECKING:
    import mutagen

AUDIO = (".mp3", ".flac", ".ogg", ".oga", ".opus", ".wav", ".aif", ".aiff", ".m4a", ".mp4", ".wv", ".ape")
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
MAX_TAG_BYTES = 256 << 20
"""Maximum number of bytes read for the tags of a file, the largest size of ID3 tags. Pictures take most of it."""
COVERS = ("cover", "folder", "front", "albumart")
"""Names that players give to the one image of an album's folder."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """Metadata of one file.

    - name: path below the folder, with `/`.
    - ids: ids by name in `collectors.source.ID_FIELDS`.
    """

    path: Path
    name: str
    ids: dict[str, str] = field(default_factory=dict)
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    duration_s: float | None = None


class Folder:
    """Lookup of the files in a folder by id, title and album.

    A lookup needs some hundred bytes of memory per file.
    """

    def __init__(self, files: Iterator[LocalFile]) -> None:
        self.by_key: dict[str, list[LocalFile]] = {}
        self.by_title: dict[str, list[LocalFile]] = {}
        self.by_album: dict[str, list[LocalFile]] = {}
        for file in files:
            ids = (f"{scheme}:{value}".casefold() for scheme, value in file.ids.items())
            for key in dict.fromkeys((f"local:{file.name}", Path(file.name).stem.casefold(), *ids)):
                self.by_key.setdefault(key, []).append(file)
            if file.title:
                self.by_title.setdefault(normalise(file.title), []).append(file)
            if file.album:
                self.by_album.setdefault(normalise(file.album), []).append(file)

    def of_id(self, request: Request) -> LocalFile | None:
        """Return the file with an id, which is a `local:` path, the file name or an id in the tags."""
        # some file systems do not allow a colon in a name
        keys = [request.id, request.id.casefold(), request.id.replace(":", "_").casefold()] if ":" in request.id else []
        for scheme, value in request.ids.items():
            keys += [f"{scheme}:{value}".casefold(), value.casefold()]
        return next((self.by_key[key][0] for key in keys if key in self.by_key), None)

    def match(self, request: Request) -> tuple[LocalFile, float] | None:
        """Return the file of a track or album and the match score, which is 1 for a file found by id.

        Returns None if no file can match.
        """
        if (file := self.of_id(request)) is not None:
            return file, 1.0
        title = normalise(request.title or "")
        files = self.by_title.get(title, [])
        if request.entity == "album":
            files = [
                replace(file, title=file.album, album=None, duration_s=None) for file in self.by_album.get(title, [])
            ]
        return nearest(
            request, files, lambda file: Candidate(file.title, (file.artist,) if file.artist else (), file.duration_s)
        )


class FolderSource(Source):
    """Base class of sources that read files in a folder."""

    page = "docs/sources.md"

    def state(self) -> str:
        return state_of([self.params.folder], type(self).__name__)

    def remark(self, absent: Request) -> str:
        file = next(iter(self.files.by_key), "nothing")
        return f"{self.params.folder} has files such as {file!r}, and the catalogue has {absent.id!r}"

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        self.files = Folder(self.local_files())
        yield

    @abstractmethod
    def local_files(self) -> Iterator[LocalFile]:
        """Return the files for lookups."""

    @abstractmethod
    def answer(self, file: LocalFile, score: float) -> Answer:
        """Return the answer from a file and a match score. Raises `OSError` if the file cannot be read."""

    def collect(self, request: Request, http: Http) -> Answer:
        match = self.files.match(request)
        if match is None:
            return Absent()
        try:
            return self.answer(*match)
        except (Trouble, SegueError, MemoryError):
            raise
        except OSError as error:
            raise Transient(f"{match[0].name} cannot be read ({error.strerror or error})") from None
        except Exception as error:  # decoders and parsers of tags raise exceptions of any kind for damaged files
            raise Trouble(f"{match[0].name} is damaged ({first_line(error)})") from None


def audio_files(folder: Path, *, tags: bool) -> Iterator[LocalFile]:
    """Return all audio files.

    `tags` reads title, artist, album, ids and duration from embedded tags instead of the file name.
    """
    for path, name in _files(folder, AUDIO):
        yield _from_tags(path, name) if tags else _from_name(path, name)


def text_files(folder: Path) -> Iterator[LocalFile]:
    """Return all text files (.txt), named `Artist - Title.txt` or by an id."""
    for path, name in _files(folder, (".txt",)):
        yield _from_name(path, name)


def image_files(folder: Path) -> Iterator[LocalFile]:
    """Return all images, named `Artist - Album.jpg`, by an id, or `Artist/Album/cover.jpg`."""
    for path, name in _files(folder, IMAGES):
        parts = Path(name).parts
        if path.stem.casefold() in COVERS:
            album, artist = (parts[-2] if len(parts) > 1 else None), (parts[-3] if len(parts) > 2 else None)
            yield LocalFile(path, name, album=album, artist=artist)
        else:
            file = _from_name(path, name)
            yield replace(file, title=None, album=file.title)


def _files(folder: Path, endings: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Return sorted paths and names of all files, without links to the outside of the folder."""
    root = folder.resolve()
    if not root.is_dir():
        raise InputError(f"{folder} must be an existing folder: correct `folder`")
    for path in files_below(root):
        if path.suffix.lower() in endings and path.resolve().is_relative_to(root):
            yield path, path.relative_to(root).as_posix()


def _from_name(path: Path, name: str) -> LocalFile:
    """Return a file from a name that is an id or an optional track number and `Artist - Title`."""
    # `01 Song` is numbered, `10 cc` and `99 Balloons` are not
    stem = re.sub(r"^(?:\d{1,3}(?:[.)_]\s*|\s*-\s+)|0\d\s+)(?=\S)", "", path.stem)
    artist, dash, title = stem.partition(" - ")
    key = recognised(path.stem) or recognised(path.stem.replace("_", ":"))
    ids = {key.split(":")[0]: key.rsplit(":", 1)[1]} if key else {}
    return LocalFile(path, name, ids, title if dash else stem, artist if dash else None)


class _Limited(io.BufferedReader):
    """An open file of which at most `MAX_TAG_BYTES` are read, whatever sizes its tags state."""

    left = MAX_TAG_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0 or size > self.left:
            size = self.left + 1
        data = super().read(size)
        self.left -= len(data)
        if self.left < 0:
            raise OSError(f"tags must have at most {MAX_TAG_BYTES >> 20} MB")
        return data


class _NotRead:
    """Replacement for `zlib` in mutagen, which would unpack a frame of half a megabyte to any size.

    Compressed frames are left out. The standard has them, but no common program writes them.
    """

    error = zlib.error

    @staticmethod
    def decompress(data: bytes) -> bytes:
        raise zlib.error("compressed frames are not read")


def read_tags(path: Path, *, easy: bool = False) -> mutagen.FileType | None:
    """Return an audio file read by mutagen, or None for other files and damaged tags.

    `easy` uses tag names that are common to all formats.
    """
    import mutagen
    import mutagen.id3._frames as id3_frames

    id3_frames.zlib = _NotRead  # type: ignore[assignment]
    try:
        with _Limited(io.FileIO(path)) as file:
            return mutagen.File(file, easy=easy)
    except MemoryError:
        raise
    except Exception:  # its parsers raise exceptions of many kinds for damaged files
        return None


def _from_tags(path: Path, name: str) -> LocalFile:
    """Return a file from its tags, or from the name if the tags are missing or damaged."""
    by_name = _from_name(path, name)
    file = read_tags(path, easy=True)
    if file is None:
        return by_name
    tags: Mapping[str, list[str]] = file.tags or {}

    def first(key: str) -> str | None:
        try:
            values = tags.get(key)
        except Exception:  # as for the file
            return None
        return str(values[0]).strip() or None if isinstance(values, list) and values else None

    ids = {"isrc": (first("isrc") or "").replace("-", "").upper(), "mbid": first("musicbrainz_trackid") or ""}
    return LocalFile(
        path,
        name,
        by_name.ids | {scheme: value for scheme, value in ids.items() if value},
        first("title") or by_name.title,
        first("artist") or by_name.artist,
        first("album"),
        _duration(getattr(file.info, "length", None)),
    )


def _duration(seconds: object) -> float | None:
    """Return a duration from a header, or None for one that is not a positive finite number."""
    return float(seconds) if isinstance(seconds, int | float) and 0 < seconds < float("inf") else None

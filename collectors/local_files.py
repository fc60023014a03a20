"""A folder of audio files or pictures as something to be asked: found by id, by embedded tags, or by name.

The folder is read first, and a request is looked up among what was read: no path is ever made of an id or a title, whatever they hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collectors.matching import Candidate, nearest, normalise
from collectors.source import Request
from toolkit.catalogue.readers.ids import recognised
from toolkit.catalogue.readers.open_files import files_below
from toolkit.errors import InputError

AUDIO = (".mp3", ".flac", ".ogg", ".oga", ".opus", ".wav", ".aif", ".aiff", ".m4a", ".mp4", ".wv", ".ape")
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
COVERS = ("cover", "folder", "front", "albumart")
"""Names that players give to the one picture of an album's folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one file. name: its path below the folder, with `/`. ids: by `collectors.source.ID_FIELDS`."""

    path: Path
    name: str
    ids: dict[str, str] = field(default_factory=dict)
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    duration_s: float | None = None


class Folder:
    """The files of a folder by what a request may know of them; memory is some hundred bytes a file."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self.by_key: dict[str, list[Entry]] = {}
        self.by_title: dict[str, list[Entry]] = {}
        self.by_album: dict[str, list[Entry]] = {}
        for entry in entries:
            stem = Path(entry.name).stem
            for key in dict.fromkeys(
                (f"local:{entry.name}", stem.casefold(), *(f"{k}:{v}".casefold() for k, v in entry.ids.items()))
            ):
                self.by_key.setdefault(key, []).append(entry)
            if entry.title:
                self.by_title.setdefault(normalise(entry.title), []).append(entry)
            if entry.album:
                self.by_album.setdefault(normalise(entry.album), []).append(entry)

    def of_id(self, request: Request) -> Entry | None:
        """The file that an id names: the catalogue's own (`local:` and the path), or an id held as file name or in its tags."""
        # a colon is no letter of a file's name everywhere
        keys = [request.id, request.id.casefold(), request.id.replace(":", "_").casefold()] if ":" in request.id else []
        for kind, value in request.ids.items():
            keys += [f"{kind}:{value}".casefold(), value.casefold()]
        return next((self.by_key[key][0] for key in keys if key in self.by_key), None)

    def of_track(self, request: Request) -> tuple[Entry, float] | None:
        """The file of a track and how well it fits; 1 where an id names it. None where no file may be it."""
        if (entry := self.of_id(request)) is not None:
            return entry, 1.0
        return _best(request, self.by_title.get(normalise(request.title), []) if request.title else [])

    def of_album(self, request: Request) -> tuple[Entry, float] | None:
        """A file of an album and how well the album fits."""
        if (entry := self.of_id(request)) is not None:
            return entry, 1.0
        albums = self.by_album.get(normalise(request.title), []) if request.title else []
        return _best(request, [Entry(each.path, each.name, each.ids, each.album, each.artist) for each in albums])


def _best(request: Request, entries: list[Entry]) -> tuple[Entry, float] | None:
    return nearest(
        request,
        entries,
        lambda entry: Candidate(entry.title, (entry.artist,) if entry.artist else (), entry.duration_s),
    )


def audio_files(folder: Path, *, tags: bool) -> Iterator[Entry]:
    """Every audio file, with its tags where asked for: they name title, artist, album and ids, and give the duration."""
    for path, name in _files(folder, AUDIO):
        yield _tagged(path, name) if tags else _named(path, name)


def image_files(folder: Path) -> Iterator[Entry]:
    """Every picture: `Artist - Album.jpg`, an id as the name, or `Artist/Album/cover.jpg`."""
    for path, name in _files(folder, IMAGES):
        parts = Path(name).parts
        if path.stem.casefold() in COVERS:
            album, artist = (parts[-2] if len(parts) > 1 else None), (parts[-3] if len(parts) > 2 else None)
            yield Entry(path, name, album=album, artist=artist)
        else:
            named = _named(path, name)
            yield Entry(path, name, named.ids, album=named.title, artist=named.artist)


def _files(folder: Path, endings: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Files at any depth, sorted, with their names below the folder; a link that leads out of it is left out."""
    root = folder.resolve()
    if not root.is_dir():
        raise InputError(f"{folder} is not a folder: name one that holds the files")
    for path in files_below(root):
        if path.suffix.lower() in endings and path.resolve().is_relative_to(root):
            yield path, path.relative_to(root).as_posix()


def _named(path: Path, name: str) -> Entry:
    """What a file's name says: an id, or `Artist - Title` after a track number."""
    # `01 Song` is numbered, `10 cc` and `99 Balloons` are not
    stem = re.sub(r"^(?:\d{1,3}(?:[.)_]\s*|\s*-\s+)|0\d\s+)(?=\S)", "", path.stem)
    artist, dash, title = stem.partition(" - ")
    return Entry(path, name, _ids(path.stem), title if dash else stem, artist if dash else None)


def _ids(stem: str) -> dict[str, str]:
    known = recognised(stem) or recognised(stem.replace("_", ":"))
    if known is None:
        return {}
    scheme, value = known.split(":")[0], known.rsplit(":", 1)[1]
    return {scheme: value}


def tags_of(path: Path, *, easy: bool = False) -> Any:
    """An audio file as mutagen reads it, None where it is none or its tags cannot be read. easy: under names common to all formats."""
    import mutagen

    try:
        return mutagen.File(path, easy=easy)
    except Exception:  # its parsers let errors of many kinds out of damaged files
        return None


def _tagged(path: Path, name: str) -> Entry:
    """What a file's tags say, else its name; a file whose tags cannot be read has none."""
    guessed = _named(path, name)
    file = tags_of(path, easy=True)
    if file is None:
        return guessed
    tags = file.tags or {}

    def first(key: str) -> str | None:
        try:
            values = tags.get(key) or [None]
        except (KeyError, ValueError):
            return None
        return str(values[0]).strip() or None if isinstance(values, list) and values[0] is not None else None

    found = {"isrc": (first("isrc") or "").replace("-", "").upper(), "mbid": first("musicbrainz_trackid") or ""}
    return Entry(
        path,
        name,
        guessed.ids | {kind: value for kind, value in found.items() if value},
        first("title") or guessed.title,
        first("artist") or guessed.artist,
        first("album"),
        getattr(file.info, "length", None) or None,
    )

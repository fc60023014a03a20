"""Reader for the Million Playlist Dataset.

Format and terms are described in the README of the data set (AIcrowd, Spotify Million Playlist Dataset Challenge).
The terms allow research use but no redistribution. Playlists in the challenge set have only seeds.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import msgspec

from toolkit.catalogue.readers.open_files import BROKEN_JSON, existing, has_ending, head, mapped, with_playlists
from toolkit.catalogue.readers.reader import FileReader, ReaderParams
from toolkit.catalogue.readers.tables.track_columns import NAMES
from toolkit.catalogue.records import NamedPlaylist, Names, PlaylistRecord, Record, TrackRecord
from toolkit.errors import InputError
from toolkit.timestamps import LAST, NO_TIME


class _Named(msgspec.Struct, gc=False):
    """Values of a playlist entry that a corpus requires, without garbage collection for speed."""

    pos: int
    track_uri: str
    track_name: str
    artist_name: str
    album_name: str


class _Track(_Named, gc=False):
    artist_uri: str
    album_uri: str
    duration_ms: int


T = TypeVar("T", bound=_Named)


class _Playlist(msgspec.Struct, Generic[T], gc=False):
    pid: int
    tracks: list[T]
    name: str | None = None
    description: str | None = None
    modified_at: Annotated[int, msgspec.Meta(ge=0, le=LAST)] = NO_TIME


P = TypeVar("P")


class _Slice(msgspec.Struct, Generic[P]):
    playlists: list[P]


class _Decoders(Generic[T]):
    """Decoders for a whole slice, or for `parts` and then `one` playlist if a slice has bad playlists."""

    parts = msgspec.json.Decoder(_Slice[msgspec.Raw])

    def __init__(self, track: type[T]) -> None:
        self.whole = msgspec.json.Decoder(_Slice[_Playlist[track]])  # type: ignore[valid-type]
        self.one = msgspec.json.Decoder(_Playlist[track])  # type: ignore[valid-type]


_FULL, _BRIEF = _Decoders(_Track), _Decoders(_Named)
_POS, _URI = attrgetter("pos"), attrgetter("track_uri")
_NUMBER = re.compile(r"mpd\.slice\.(\d+)-\d+\.json")


class MpdParams(ReaderParams):
    """Options of `reader: mpd`; training requires `permission` unless `train_allowed` is true."""

    train_allowed: bool | None = None


class MpdReader(FileReader):
    """Reader for the Million Playlist Dataset, from a folder of slices, one slice or `challenge_set.json`.

    Slices are read one at a time in playlist order.
    """

    name = "mpd"
    Params = MpdParams
    params: MpdParams

    @classmethod
    def recognises(cls, path: Path) -> bool:
        if path.is_dir():
            return any(path.glob("mpd.slice.*.json")) or (path / "challenge_set.json").is_file()
        return has_ending(path, ".json") and bool(
            _NUMBER.fullmatch(path.name.removesuffix(".gz"))
            or ('"playlists"' in head(path) and '"pid"' in head(path, 1 << 16))
        )

    def brief(self) -> Iterator[Record | NamedPlaylist]:
        # a bad value that a corpus does not require makes `read` skip the playlist
        found = self._briefs(_BRIEF) if self.on_error == "stop" else self._briefs(_FULL)
        return with_playlists(found, self.path)

    def check_source(self) -> None:
        self._files()

    def fields_offered(self) -> set[str]:
        return {*NAMES}

    def _read(self) -> Iterator[Record]:
        seen: set[str] = set()
        for playlist, record in self._playlists(_FULL):
            if not seen.issuperset(record.tracks):
                for track in playlist.tracks:
                    if track.track_uri not in seen:
                        seen.add(track.track_uri)
                        yield self._track(track)
            yield record

    def _briefs(self, decoders: _Decoders[T]) -> Iterator[NamedPlaylist]:
        for playlist, record in self._playlists(decoders):
            yield NamedPlaylist(record, _names(playlist.tracks))

    def _playlists(self, decoders: _Decoders[T]) -> Iterator[tuple[_Playlist[T], PlaylistRecord]]:
        """Yield playlists with tracks sorted by `pos`."""
        for file in self._files():
            for index, playlist in self._decoded(file, decoders):
                # the dataset's own files are sorted; a check is cheaper than sorting
                places = list(map(_POS, playlist.tracks))
                if places != sorted(places):
                    playlist.tracks.sort(key=_POS)
                tracks = list(map(_URI, playlist.tracks))
                if not all(tracks):
                    self.bad(f"{file}, playlist {index}", "track_uri must not be empty")
                    continue
                about = (playlist.name or None, playlist.description or None)
                yield playlist, PlaylistRecord(f"mpd:{playlist.pid}", tracks, *about, time=playlist.modified_at)

    def _files(self) -> list[Path]:
        if existing(self.path).is_file():
            return [self.path]
        files = sorted(self.path.glob("mpd.slice.*.json"), key=lambda file: (_first_pid(file), file.name))
        files = files or list(self.path.glob("challenge_set.json"))
        if not files:
            raise InputError(f"{self.path} must contain mpd.slice.*.json or challenge_set.json: correct the path")
        return files

    def _decoded(self, file: Path, decoders: _Decoders[T]) -> Iterator[tuple[int, _Playlist[T]]]:
        """Yield numbered playlists of a slice, and free each before the next to reuse cached memory."""
        with mapped(file) as data:
            try:
                waiting = decoders.whole.decode(data).playlists[::-1]
            except BROKEN_JSON:
                yield from self._apart(file, data, decoders)
                return
        count = len(waiting)
        while waiting:
            yield count - len(waiting), waiting.pop()

    def _apart(self, file: Path, data: bytes | mmap.mmap, decoders: _Decoders[T]) -> Iterator[tuple[int, _Playlist[T]]]:
        """Yield valid playlists of a slice and report bad playlists."""
        try:
            parts = decoders.parts.decode(data).playlists
        except BROKEN_JSON as error:
            end = f" at byte {len(data)}" if "truncated" in str(error) else ""
            self.bad(str(file), f"is not a slice ({error}{end})")
            return
        for index, part in enumerate(parts):
            try:
                playlist = decoders.one.decode(part)
            except BROKEN_JSON as error:
                self.bad(f"{file}, playlist {index}", str(error))
                continue
            yield index, playlist

    def _track(self, track: _Track) -> TrackRecord:
        return TrackRecord(
            track.track_uri,
            track.track_name,
            (track.artist_name,),
            (track.artist_uri,),
            track.album_name,
            track.album_uri,
            track.duration_ms / 1000,
            source=self.name,
            train_allowed=self.params.train_allowed,
        )


def _names(tracks: Sequence[_Named]) -> Callable[[Sequence[int]], Names]:
    def names(places: Sequence[int]) -> Names:
        chosen = [tracks[place] for place in places]
        return (
            [track.track_name or None for track in chosen],
            [track.artist_name or None for track in chosen],
            [track.album_name or None for track in chosen],
        )

    return names


def _first_pid(file: Path) -> int:
    """Return the number by which slices are sorted numerically."""
    match = _NUMBER.fullmatch(file.name)
    return int(match[1]) if match else 0

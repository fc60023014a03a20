"""Reader for the Million Playlist Dataset.

Format and terms are described in the README of the data set (AIcrowd, Spotify Million Playlist Dataset Challenge).
The terms allow research use but no redistribution. Playlists in the challenge set have only seeds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import msgspec

from toolkit.catalogue.readers.json_keys import repeated_key, twice
from toolkit.catalogue.readers.open_files import (
    BROKEN_JSON,
    Oversized,
    existing,
    has_ending,
    head,
    read_bytes,
    with_playlists,
)
from toolkit.catalogue.readers.tables.track_columns import NAMES
from toolkit.catalogue.readers.tables.track_content import ContentOptions, ContentReader
from toolkit.catalogue.records import NamedPlaylist, Names, PlaylistRecord, Record, TrackRecord
from toolkit.errors import InputError
from toolkit.timestamps import LAST, NO_TIME


class _Track(msgspec.Struct, gc=False):
    """Playlist entry, without garbage collection for speed."""

    pos: int
    track_uri: str
    track_name: str
    artist_name: str
    album_name: str
    artist_uri: str
    album_uri: str
    duration_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Playlist(msgspec.Struct, gc=False):
    pid: int
    tracks: list[_Track]
    name: str | None = None
    description: str | None = None
    modified_at: Annotated[int, msgspec.Meta(ge=0, le=LAST)] = NO_TIME
    num_tracks: int | None = None
    num_samples: int | None = None


P = TypeVar("P")


class _Slice(msgspec.Struct, Generic[P]):
    playlists: list[P]


_WHOLE = msgspec.json.Decoder(_Slice[_Playlist])
_PARTS = msgspec.json.Decoder(_Slice[msgspec.Raw])
_ONE = msgspec.json.Decoder(_Playlist)
"""Decoders for a whole slice, or for the parts and then one playlist if a slice has bad playlists."""

_ENTRY = b'"track_uri"'
_POS, _URI = attrgetter("pos"), attrgetter("track_uri")
_COUNT = {True: "num_tracks", False: "num_samples"}
_NUMBER = re.compile(r"mpd\.slice\.(\d+)-\d+\.json")


class MpdParams(ContentOptions):
    """Options of `reader: mpd`; training requires `permission` unless `train_allowed` is true."""

    train_allowed: bool | None = None


class MpdReader(ContentReader):
    """Reader for the Million Playlist Dataset, from a folder of slices, one slice or `challenge_set.json`.

    Slices are read one at a time in playlist order.
    """

    name = "mpd"
    Params = MpdParams
    params: MpdParams
    kind = "track"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        if path.is_dir():
            return any(path.glob("mpd.slice.*.json")) or (path / "challenge_set.json").is_file()
        return has_ending(path, ".json") and bool(
            _NUMBER.fullmatch(path.name.removesuffix(".gz"))
            or ('"playlists"' in head(path) and '"pid"' in head(path, 1 << 16))
        )

    def brief(self) -> Iterator[Record | NamedPlaylist]:
        briefs = (NamedPlaylist(rec, _names(playlist.tracks)) for playlist, rec in self._playlists())
        return with_playlists(briefs, self.path)

    def check_source(self) -> None:
        self._files()
        super().check_source()

    def fields_offered(self) -> set[str]:
        return {*NAMES} | super().fields_offered()

    def id_scheme(self) -> str:
        return "spotify"

    def _read(self) -> Iterator[Record]:
        seen: set[str] = set()
        for playlist, record in self._playlists():
            if not seen.issuperset(record.tracks):
                for track in playlist.tracks:
                    if track.track_uri not in seen:
                        seen.add(track.track_uri)
                        yield self._track(track)
            yield record

    def _playlists(self) -> Iterator[tuple[_Playlist, PlaylistRecord]]:
        """Yield playlists with tracks sorted by `pos`. All values are checked, also those that `brief` does not use."""
        for file in self._files():
            for index, playlist in self._decoded(file):
                # the dataset's own files are sorted; a check is cheaper than sorting
                places = list(map(_POS, playlist.tracks))
                if places != sorted(places):
                    playlist.tracks.sort(key=_POS)
                tracks = list(map(_URI, playlist.tracks))
                if (fault := _fault(playlist, tracks)) is not None:
                    self.bad(f"{file}, playlist {index}", fault)
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

    def _decoded(self, file: Path) -> Iterator[tuple[int, _Playlist]]:
        """Yield numbered playlists of a slice, and free each before the next to reuse cached memory."""
        try:
            data = read_bytes(file)
        except Oversized as error:
            self.bad(str(file), str(error))
            return
        try:
            waiting = _WHOLE.decode(data).playlists[::-1]
        except BROKEN_JSON:
            waiting = []
        # a decoder loses the first of two lists with the same key
        if not waiting or data.count(_ENTRY) != sum(len(playlist.tracks) for playlist in waiting):
            yield from self._apart(file, data)
            return
        del data
        count = len(waiting)
        while waiting:
            yield count - len(waiting), waiting.pop()

    def _apart(self, file: Path, data: bytearray) -> Iterator[tuple[int, _Playlist]]:
        """Yield valid playlists of a slice and report bad playlists."""
        try:
            parts = _PARTS.decode(data).playlists
        except BROKEN_JSON as error:
            end, lost = f" at byte {len(data)}" if "truncated" in str(error) else "", data.count(b'"pid"')
            self.bad(str(file), f"is not a slice ({error}{end}), with {lost} playlists: download the file again")
            return
        kept = sum(bytes(part).count(_ENTRY) for part in parts)
        if kept < data.count(_ENTRY) and (repeated := repeated_key(data)) is not None:
            self.bad(str(file), twice(repeated))
            return
        for index, part in enumerate(parts):
            try:
                playlist, repeated = _ONE.decode(part), repeated_key(bytes(part))
            except BROKEN_JSON as error:
                self.bad(f"{file}, playlist {index}", str(error))
                continue
            if repeated is None:
                yield index, playlist
            else:
                self.bad(f"{file}, playlist {index}", twice(repeated))

    def _track(self, track: _Track) -> TrackRecord:
        return TrackRecord(
            track.track_uri,
            track.track_name or None,
            (track.artist_name,) if track.artist_name else (),
            (track.artist_uri,) if track.artist_uri else (),
            track.album_name or None,
            track.album_uri or None,
            track.duration_ms / 1000,
            source=self.name,
            train_allowed=self.params.train_allowed,
        )


def _fault(playlist: _Playlist, tracks: Sequence[str]) -> str | None:
    """Return why a playlist is incomplete or damaged, or None. The challenge set has only `num_samples`."""
    if not all(tracks):
        return "track_uri must not be empty"
    count = playlist.num_tracks if playlist.num_samples is None else playlist.num_samples
    if count is not None and count != len(tracks):
        return f"has {len(tracks)} tracks and must have {count} as in {_COUNT[playlist.num_samples is None]}"
    return None


def _names(tracks: list[_Track]) -> Callable[[Sequence[int]], Names]:
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

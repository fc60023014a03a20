"""The Million Playlist Dataset: a folder of `mpd.slice.*.json`, one slice, or `challenge_set.json`.

Format and terms: the dataset's README (AIcrowd, Spotify Million Playlist
Dataset Challenge); research use, no redistribution. Playlists of the challenge
set come with their given seeds alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from toolkit.catalogue.readers.base import Reader, ReaderParams
from toolkit.catalogue.readers.files import existing, has_ending, head, read_bytes, some
from toolkit.catalogue.records import PlaylistRecord, Record, TrackRecord
from toolkit.errors import InputError


class _Track(msgspec.Struct):
    pos: int
    track_uri: str
    track_name: str
    artist_name: str
    artist_uri: str
    album_name: str
    album_uri: str
    duration_ms: int


class _Playlist(msgspec.Struct):
    pid: int
    tracks: list[_Track]
    name: str | None = None
    description: str | None = None


class _Slice(msgspec.Struct):
    # raw, so that one bad playlist is one bad record
    playlists: list[msgspec.Raw]


_SLICE = msgspec.json.Decoder(_Slice)
_PLAYLIST = msgspec.json.Decoder(_Playlist)
_NUMBER = re.compile(r"mpd\.slice\.(\d+)-\d+\.json")


class MpdParams(ReaderParams):
    """The dataset's terms are the user's to judge: training asks for `permission` unless this says so."""

    train_allowed: bool | None = None


class MpdReader(Reader):
    """Slices in the order of their playlists; one slice in memory at a time."""

    name = "mpd"
    Params = MpdParams
    params: MpdParams

    @classmethod
    def recognises(cls, path: Path) -> bool:
        if path.is_dir():
            return any(path.glob("mpd.slice.*.json")) or (path / "challenge_set.json").is_file()
        return has_ending(path, ".json") and bool(
            _NUMBER.fullmatch(path.name.removesuffix(".gz")) or ('"playlists"' in head(path) and '"pid"' in head(path, 1 << 16))
        )

    def read(self) -> Iterator[Record]:
        return some(self._read(), self.path)

    def _read(self) -> Iterator[Record]:
        seen: set[str] = set()
        for file in self._files():
            for index, raw in enumerate(self._slice(file)):
                playlist = self._playlist(raw, f"{file}, playlist {index}")
                if playlist is None:
                    continue
                for track in playlist.tracks:
                    if track.track_uri not in seen:
                        seen.add(track.track_uri)
                        yield self._track(track)
                tracks = [track.track_uri for track in playlist.tracks]
                yield PlaylistRecord(f"mpd:{playlist.pid}", tracks, playlist.name or None, playlist.description or None)

    def _files(self) -> list[Path]:
        if existing(self.path).is_file():
            return [self.path]
        files = sorted(self.path.glob("mpd.slice.*.json"), key=lambda file: (_first_pid(file), file.name))
        files = files or list(self.path.glob("challenge_set.json"))
        if not files:
            raise InputError(f"{self.path} has no mpd.slice.*.json and no challenge_set.json")
        return files

    def _slice(self, file: Path) -> list[msgspec.Raw]:
        data = read_bytes(file)
        try:
            return _SLICE.decode(data).playlists
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            end = f" at byte {len(data)}" if "truncated" in str(error) else ""
            self.bad(str(file), f"is no slice: {error}{end}")
            return []

    def _playlist(self, raw: msgspec.Raw, where: str) -> _Playlist | None:
        try:
            playlist = _PLAYLIST.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.bad(where, str(error))
            return None
        playlist.tracks.sort(key=lambda track: track.pos)
        if any(not track.track_uri for track in playlist.tracks):
            self.bad(where, "a track has an empty track_uri")
            return None
        return playlist

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


def _first_pid(file: Path) -> int:
    """0, 1000, 2000, … and not 0, 1000, 10000, …"""
    match = _NUMBER.fullmatch(file.name)
    return int(match[1]) if match else 0

"""LRCLIB (https://lrclib.net/docs): one song by its signature, or a search of at most twenty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.servers.base import Asked, Reply, Schedule, Server
from tests.servers.music import words
from tests.servers.musicbrainz import as_json

MOST = 20


@dataclass(frozen=True)
class Song:
    """duration: in seconds. plain: None for an instrumental, and where only timed lyrics are there."""

    title: str
    artist: str
    album: str | None
    duration: float
    plain: str | None = None
    timed: str | None = None
    instrumental: bool = False


class LrclibServer(Server):
    """Songs as the service has them."""

    def __init__(self, songs: Sequence[Song], *, faults: Schedule | None = None) -> None:
        super().__init__(faults=faults)
        self.songs = list(songs)

    def reply(self, asked: Asked) -> Reply:
        query = asked.query
        if asked.path == "/api/get":
            for needed in ("track_name", "artist_name"):
                if needed not in query:
                    said = f"Failed to deserialize query string: missing field `{needed}`"
                    return Reply(said, 400, "text/plain; charset=utf-8")
            return self._get(query)
        if asked.path == "/api/search":
            return as_json([self._told(song) for song in self.songs if _sought(song, query)][:MOST])
        return Reply(b"", 404, "text/plain")

    def _get(self, query: Mapping[str, str]) -> Reply:
        for song in self.songs:
            same = words(song.title) == words(query["track_name"]) and words(song.artist) == words(query["artist_name"])
            album = "album_name" not in query or words(song.album or "") == words(query["album_name"])
            if same and album and ("duration" not in query or abs(song.duration - float(query["duration"])) <= 2):
                return as_json(self._told(song))
        return as_json({"message": "Failed to find specified track", "name": "TrackNotFound", "statusCode": 404}, 404)

    def _told(self, song: Song) -> dict[str, Any]:
        return {
            "id": self.songs.index(song) + 1,
            "name": song.title,
            "trackName": song.title,
            "artistName": song.artist,
            "albumName": song.album,
            "duration": song.duration,
            "instrumental": song.instrumental,
            "plainLyrics": song.plain,
            "syncedLyrics": song.timed,
        }


def _sought(song: Song, query: Mapping[str, str]) -> bool:
    """Whether every word asked for is there: `q` anywhere, the others each in its own place."""
    places = {"track_name": song.title, "artist_name": song.artist, "album_name": song.album or ""}
    places["q"] = " ".join(places.values())
    asked = [(name, query[name]) for name in places if query.get(name)]
    return bool(asked) and all(set(words(text)) <= set(words(places[name])) for name, text in asked)

"""LRCLIB API (https://lrclib.net/docs) with lookups by signature and searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.servers.base import ReceivedRequest, Reply, Server
from tests.servers.music import words
from tests.servers.musicbrainz import as_json

MOST = 20


@dataclass(frozen=True)
class Song:
    """Song with a duration in seconds; `plain` is None for instrumentals and songs with only timed lyrics."""

    title: str
    artist: str
    album: str | None
    duration: float
    plain: str | None = None
    timed: str | None = None
    instrumental: bool = False


class LrclibServer(Server):
    """Server of songs with lyrics."""

    def __init__(self, songs: Sequence[Song], **options: Any) -> None:
        super().__init__(**options)
        self.songs = list(songs)
        self.signed: dict[tuple[str, ...], list[tuple[int, Song]]] = {}
        for number, song in enumerate(self.songs, start=1):
            self.signed.setdefault(_signature(song.title, song.artist), []).append((number, song))

    def reply(self, request: ReceivedRequest) -> Reply:
        query = request.query
        if request.path == "/api/get":
            for needed in ("track_name", "artist_name"):
                if needed not in query:
                    message = f"Failed to deserialize query string: missing field `{needed}`"
                    return Reply(message, 400, "text/plain; charset=utf-8")
            return self._get(query)
        if request.path == "/api/search":
            return as_json(
                [song_json(number, song) for number, song in enumerate(self.songs, start=1) if _sought(song, query)][
                    :MOST
                ]
            )
        return Reply(b"", 404, "text/plain")

    def _get(self, query: Mapping[str, str]) -> Reply:
        for number, song in self.signed.get(_signature(query["track_name"], query["artist_name"]), []):
            album = "album_name" not in query or words(song.album or "") == words(query["album_name"])
            if album and ("duration" not in query or abs(song.duration - float(query["duration"])) <= 2):
                return as_json(song_json(number, song))
        return as_json({"message": "Failed to find specified track", "name": "TrackNotFound", "statusCode": 404}, 404)


def song_json(number: int, song: Song) -> dict[str, Any]:
    return {
        "id": number,
        "name": song.title,
        "trackName": song.title,
        "artistName": song.artist,
        "albumName": song.album,
        "duration": song.duration,
        "instrumental": song.instrumental,
        "plainLyrics": song.plain,
        "syncedLyrics": song.timed,
    }


def _signature(*names: str) -> tuple[str, ...]:
    """Return normalised names for comparison."""
    return tuple(" ".join(words(name)) for name in names)


def _sought(song: Song, query: Mapping[str, str]) -> bool:
    """Return whether the song contains all words of the query, with `q` matching any attribute."""
    places = {"track_name": song.title, "artist_name": song.artist, "album_name": song.album or ""}
    places["q"] = " ".join(places.values())
    terms = [(name, query[name]) for name in places if query.get(name)]
    return bool(terms) and all(set(words(text)) <= set(words(places[name])) for name, text in terms)

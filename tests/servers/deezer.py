"""Deezer API (https://developers.deezer.com/api), which reports errors with status 200."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tests.servers.base import ReceivedRequest, Reply, Schedule, Server
from tests.servers.music import words
from tests.servers.tracks import Track, jpeg, wave


def error(code: int, kind: str = "Exception", message: str = "") -> Reply:
    return Reply({"error": {"type": kind, "message": message, "code": code}})


NO_DATA = (800, "DataException", "no data")
QUOTA = (4, "Exception", "Quota limit exceeded")


class DeezerServer(Server):
    """Server of tracks and albums; `sound` is the content of every preview."""

    def __init__(self, tracks: Sequence[Track], *, sound: bytes | None = None, faults: Schedule | None = None) -> None:
        super().__init__(faults=faults)
        self.tracks = list(tracks)
        self.sound = sound

    def reply(self, request: ReceivedRequest) -> Reply:
        match request.path.strip("/").split("/"):
            case ["stream", _]:
                return Reply(self.sound if self.sound is not None else wave(), 200, "audio/mpeg")
            case ["images", *_]:
                return Reply(jpeg(), 200, "image/jpeg")
            case ["track", key]:
                matches = [t for t in self.tracks if key in (str(t.number), f"isrc:{t.isrc}")]
                return Reply(self._track_json(matches[0])) if matches else error(*NO_DATA)
            case ["search"]:
                hits = _sought(self.tracks, request.query["q"])
                return Reply({"data": [self._track_json(t) for t in hits[:25]], "total": len(hits)})
            case ["search", "album"]:
                hits = _sought(self.tracks, request.query["q"])
                rows = list({t.album_number: self._album(t) | {"artist": {"name": t.artist}} for t in hits}.values())
                return Reply({"data": rows, "total": len(rows)})
        return error(600, "InvalidQueryException", "Unknown path components")

    def _album(self, track: Track) -> dict[str, Any]:
        picture = f"{self.url}/images/cover/{track.album_number}"
        sizes = {
            f"cover_{name}": f"{picture}/{side}x{side}.jpg"
            for name, side in (("medium", 250), ("big", 500), ("xl", 1000))
        }
        return {"id": track.album_number, "title": track.album, **sizes, "type": "album"}

    def _track_json(self, track: Track) -> dict[str, Any]:
        return {
            "id": track.number,
            "title": track.title,
            "isrc": track.isrc,
            "duration": round(track.duration_s),
            "preview": f"{self.url}/stream/{track.number}.mp3?hdnea=exp=1" if track.preview else "",
            "artist": {"id": 1, "name": track.artist},
            "album": self._album(track),
            "type": "track",
        }


def _sought(tracks: Sequence[Track], query: str) -> list[Track]:
    terms = dict(re.findall(r'(\w+):"([^"]*)"', query))
    places = {"track": "title", "artist": "artist", "album": "album"}
    return [
        t
        for t in tracks
        if all(set(words(text)) <= set(words(getattr(t, places[name]))) for name, text in terms.items())
    ]

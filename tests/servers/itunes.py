"""Apple iTunes Search API (https://performance-partners.apple.com/search-api)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.servers.base import ReceivedRequest, Reply, Schedule, Server
from tests.servers.tracks import Track, found, jpeg, wave


def as_json(value: Any) -> Reply:
    # the service says JavaScript, whatever is requested
    return Reply(value, 200, "text/javascript; charset=utf-8")


class ItunesServer(Server):
    """Server of songs and albums; `sound` is the content of every preview."""

    def __init__(self, tracks: Sequence[Track], *, sound: bytes | None = None, faults: Schedule | None = None) -> None:
        super().__init__(faults=faults)
        self.tracks = list(tracks)
        self.sound = sound

    def reply(self, request: ReceivedRequest) -> Reply:
        if request.path.startswith("/audio/"):
            return Reply(self.sound if self.sound is not None else wave(), 200, "audio/x-m4p")
        if request.path.startswith("/image/"):
            return Reply(jpeg(), 200, "image/jpeg")
        if request.path != "/search" or request.query.get("media") != "music":
            return Reply(b'{"errorMessage":"Invalid value(s) for key(s)"}', 400, "text/javascript; charset=utf-8")
        hits = found(self.tracks, request.query["term"])[: int(request.query.get("limit", 50))]
        rows = [self._item_json(track, request.query.get("entity", "song")) for track in hits]
        return as_json({"resultCount": len(rows), "results": rows})

    def _item_json(self, track: Track, entity: str) -> dict[str, Any]:
        album = {
            "artistName": track.artist,
            "collectionId": track.album_number,
            "collectionName": track.album,
            "artworkUrl100": f"{self.url}/image/{track.album_number}/100x100bb.jpg",
        }
        if entity == "album":
            return {"wrapperType": "collection", "collectionType": "Album", **album}
        song = {"wrapperType": "track", "kind": "song", "trackId": track.number, "trackName": track.title}
        preview = {"previewUrl": f"{self.url}/audio/{track.number}.m4a"} if track.preview else {}
        return {**song, **album, "trackTimeMillis": round(track.duration_s * 1000), **preview}

"""ReccoBeats API (https://reccobeats.com/docs) with audio features by Spotify id, up to forty per request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.servers.base import ReceivedRequest, Reply, Schedule, Server
from tests.servers.music import mbid
from tests.servers.tracks import Track


class ReccobeatsServer(Server):
    """Server of tracks with audio features."""

    def __init__(self, tracks: Sequence[Track], *, faults: Schedule | None = None) -> None:
        super().__init__(faults=faults)
        self.tracks = {track.spotify: track for track in tracks}

    def reply(self, request: ReceivedRequest) -> Reply:
        if request.path != "/v1/audio-features":
            return Reply({"timestamp": "2026-01-01T00:00:00Z", "error": "Not Found", "status": 404}, 404)
        ids = request.query.get("ids", "").split(",")
        if not 1 <= len(ids) <= 40:
            return Reply({"errors": [{"field": "ids", "message": "size must be between 1 and 40"}], "status": 400}, 400)
        known = [self.tracks[key] for key in ids if key in self.tracks and self.tracks[key].features]
        return Reply({"content": [_features_json(track) for track in known]})


def _features_json(track: Track) -> dict[str, Any]:
    href = f"https://open.spotify.com/track/{track.spotify}"
    return {"id": mbid("reccobeats", track.spotify), "href": href, "isrc": track.isrc, **track.features}

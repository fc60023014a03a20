"""ListenBrainz API for playlists by user and by id.

https://listenbrainz.readthedocs.io/en/latest/users/api/playlist.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.servers.base import ReceivedRequest, Reply, Server
from tests.servers.music import Recording, mbid
from tests.servers.musicbrainz import as_json

ON_TRACK, ON_PLAYLIST = "https://musicbrainz.org/doc/jspf#track", "https://musicbrainz.org/doc/jspf#playlist"


@dataclass(frozen=True)
class Made:
    """User playlist with recordings or JSPF tracks."""

    user: str
    title: str
    tracks: tuple[Recording | dict[str, Any], ...]
    annotation: str = ""
    public: bool = True

    @property
    def id(self) -> str:
        return mbid("playlist", self.user, self.title)


class ListenBrainzServer(Server):
    """Server of playlists with at most `most` per page and `window` requests per rate window."""

    def __init__(self, playlists: Sequence[Made], *, most: int = 2, window: int = 30, **options: Any) -> None:
        super().__init__(**options)
        self.playlists = {playlist.id: playlist for playlist in playlists}
        self.users = {playlist.user for playlist in playlists}
        self.most = most
        self.left = self.window = window

    def reply(self, request: ReceivedRequest) -> Reply:
        self.left = self.left - 1 if self.left else self.window
        limit = {
            "X-RateLimit-Limit": str(self.window),
            "X-RateLimit-Remaining": str(self.left),
            "X-RateLimit-Reset-In": "0",
        }
        match request.path.strip("/").split("/"):
            case ["1", "user", user, "playlists"] if user in self.users:
                return as_json(self._listing(user, request), **limit)
            case ["1", "user", user, "playlists"]:
                return as_json({"code": 404, "error": f"Cannot find user: {user}"}, 404, **limit)
            case ["1", "playlist", key] if key in self.playlists and self.playlists[key].public:
                return as_json({"playlist": playlist_json(self.playlists[key], tracks=True)}, **limit)
        return as_json({"code": 404, "error": "Playlist not found"}, 404, **limit)

    def _listing(self, user: str, request: ReceivedRequest) -> dict[str, Any]:
        offset, count = int(request.query.get("offset", "0")), min(int(request.query.get("count", "25")), self.most)
        made = [playlist for playlist in self.playlists.values() if playlist.user == user]
        page = [{"playlist": playlist_json(playlist, tracks=False)} for playlist in made[offset : offset + count]]
        return {"count": count, "offset": offset, "playlist_count": len(made), "playlists": page}


def playlist_json(playlist: Made, *, tracks: bool) -> dict[str, Any]:
    """Return a playlist as JSPF, with the tracks unless `tracks` is false."""
    return {
        "annotation": playlist.annotation,
        "creator": playlist.user,
        "date": "2026-01-02T03:04:05.678901+00:00",
        "extension": {
            ON_PLAYLIST: {
                "creator": playlist.user,
                "public": playlist.public,
                "last_modified_at": "2026-01-02T03:04:05+00:00",
            }
        },
        "identifier": f"https://listenbrainz.org/playlist/{playlist.id}",
        "title": playlist.title,
        "track": [track if isinstance(track, dict) else _track(track) for track in playlist.tracks] if tracks else [],
    }


def _track(recording: Recording) -> dict[str, Any]:
    artists = [f"https://musicbrainz.org/artist/{artist.id}" for artist in recording.artists]
    return {
        "identifier": [f"https://musicbrainz.org/recording/{recording.id}"],
        "title": recording.title,
        "creator": recording.credit,
        "album": recording.releases[0].title if recording.releases else "",
        "extension": {
            ON_TRACK: {"added_by": "somebody", "added_at": "2026-01-02T03:04:05+00:00", "artist_identifiers": artists}
        },
    }

"""Spotify Web API for apps in development mode, as of February 2026.

The server returns single tracks and albums, at most ten search results, playlists of the user, and audio features
for old apps only. See https://developer.spotify.com/documentation/web-api.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.servers.base import ReceivedRequest, Reply, Schedule, Server
from tests.servers.music import words
from tests.servers.tracks import FEATURES, Track, jpeg

ID, SECRET = "a1b2c3d4e5f60718293a4b5c6d7e8f90", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
REFRESH = "AQDrefresh-token-of-the-tests"
MOST_FOUND = 10


def error(status: int, message: str, **headers: str) -> Reply:
    return Reply({"error": {"status": status, "message": message}}, status, headers=headers)


class SpotifyServer(Server):
    """Server for accounts.spotify.com, api.spotify.com and i.scdn.co.

    - `old_app`: whether audio features are available.
    - `lives`: number of requests until a token expires, or None.
    - `playlists`: playlists of the user as {id: (title, tracks)}.
    - `relinked`: tracks that are returned instead, by requested id.
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        *,
        old_app: bool = False,
        lives: int | None = None,
        playlists: Mapping[str, tuple[str, Sequence[Track]]] | None = None,
        faults: Schedule | None = None,
    ) -> None:
        super().__init__(faults=faults)
        self.tracks = list(tracks)
        self.old_app, self.lives = old_app, lives
        self.playlists = dict(playlists or {})
        self.relinked: dict[str, Track] = {}
        self.tokens: dict[str, int] = {}
        self.users: set[str] = set()

    def reply(self, request: ReceivedRequest) -> Reply:
        if request.path == "/api/token":
            return self._token(request)
        if request.path.startswith("/image/"):
            return Reply(jpeg(), 200, "image/jpeg")
        if refused := self._refused(request):
            return refused
        match request.path.strip("/").split("/"):
            case ["v1", "tracks", track]:
                return self._one(track, request)
            case ["v1", "albums", album]:
                return self._album(album)
            case ["v1", "search"]:
                return self._search(request.query)
            case ["v1", "audio-features"]:
                return self._features(request.query.get("ids", "").split(","))
            case ["v1", "me"]:
                return self._mine(request) or Reply({"id": "me", "display_name": "Me", "type": "user"})
            case ["v1", "me", "playlists"]:
                rows = [self._playlist(key, *self.playlists[key]) for key in self.playlists]
                rows.append(self._playlist("followed", "Another's", self.tracks) | {"owner": {"id": "somebody"}})
                return self._mine(request) or self._page(rows, request)
            case ["v1", "playlists", key, "items"] if key in self.playlists:
                rows = [
                    {"added_at": "2020-01-01T00:00:00Z", "is_local": False, "item": self.track_json(t)}
                    for t in self.playlists[key][1]
                ]
                return self._mine(request) or self._page(rows, request)
            case ["v1", "tracks" | "albums" | "artists", *_] | ["v1", "playlists", _, "tracks"]:
                return error(403, "Forbidden")
        return error(404, "Service not found")

    def _token(self, request: ReceivedRequest) -> Reply:
        form = request.form()
        basic = base64.b64encode(f"{ID}:{SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return Reply({"error": "invalid_client", "error_description": "Invalid client secret"}, 400)
        if form.get("grant_type") == "refresh_token" and form.get("refresh_token") != REFRESH:
            return Reply({"error": "invalid_grant", "error_description": "Invalid refresh token"}, 400)
        token = f"BQD-token-{len(self.tokens)}"
        self.tokens[token] = 0
        if form.get("grant_type") == "refresh_token":
            self.users.add(token)
        return Reply(
            {"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": "playlist-read-private"}
        )

    def _refused(self, request: ReceivedRequest) -> Reply | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            return error(401, "Invalid access token", **{"WWW-Authenticate": 'Bearer realm="spotify"'})
        self.tokens[token] += 1
        if self.lives is not None and self.tokens[token] > self.lives:
            return error(401, "The access token expired", **{"WWW-Authenticate": 'Bearer realm="spotify"'})
        return None

    def _mine(self, request: ReceivedRequest) -> Reply | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return None if token in self.users else error(401, "Valid user authentication required")

    def _one(self, key: str, request: ReceivedRequest) -> Reply:
        if not re.fullmatch(r"[0-9A-Za-z]{22}", key):
            return error(400, "Invalid base62 id")
        if key in self.relinked:
            row = self.track_json(self.relinked[key])
            return Reply(row | {"linked_from": {"id": key, "type": "track", "uri": f"spotify:track:{key}"}})
        match = next((track for track in self.tracks if track.spotify == key), None)
        return Reply(self.track_json(match)) if match else error(404, "Resource not found")

    def _album(self, key: str) -> Reply:
        match = next((track for track in self.tracks if track.album_id == key), None)
        return Reply(self._album_of(match)) if match else error(404, "Resource not found")

    def _search(self, query: dict[str, str]) -> Reply:
        limit = int(query.get("limit", "5"))
        if not 1 <= limit <= MOST_FOUND:
            return error(400, "Invalid limit")
        terms = dict(re.findall(r'(\w+):(?:"([^"]*)"|\S+)', query["q"])) or {}
        isrc = re.search(r"isrc:(\S+)", query["q"])
        hits = [track for track in self.tracks if _sought(track, terms) and (not isrc or track.isrc == isrc[1])]
        if query["type"] == "album":
            albums = list({track.album_id: self._album_of(track) for track in hits}.values())[:limit]
            return Reply({"albums": {"items": albums, "total": len(albums), "limit": limit, "offset": 0, "next": None}})
        return Reply(
            {
                "tracks": {
                    "items": [self.track_json(t) for t in hits[:limit]],
                    "total": len(hits),
                    "limit": limit,
                    "offset": 0,
                    "next": None,
                }
            }
        )

    def _features(self, keys: list[str]) -> Reply:
        if not self.old_app:
            return error(403, "Forbidden")
        known = {track.spotify: track.features for track in self.tracks}
        rows = [{**FEATURES, **known[k], "id": k, "type": "audio_features"} if known.get(k) else None for k in keys]
        return Reply({"audio_features": rows})

    def _page(self, rows: list[dict[str, Any]], request: ReceivedRequest) -> Reply:
        limit, offset = int(request.query.get("limit", 20)), int(request.query.get("offset", 0))
        after = offset + limit
        more = f"{self.url}{request.path}?offset={after}&limit={limit}" if after < len(rows) else None
        return Reply({"items": rows[offset:after], "total": len(rows), "limit": limit, "offset": offset, "next": more})

    def _playlist(self, key: str, title: str, tracks: Sequence[Track]) -> dict[str, Any]:
        return {
            "id": key,
            "name": title,
            "description": "",
            "owner": {"id": "me"},
            "items": {"total": len(tracks)},
            "type": "playlist",
        }

    def _album_of(self, track: Track) -> dict[str, Any]:
        images = [
            {"url": f"{self.url}/image/{track.album_id}-{side}", "height": side, "width": side}
            for side in (640, 300, 64)
        ]
        artists = [{"id": track.album_id, "name": track.artist, "type": "artist"}]
        return {"id": track.album_id, "name": track.album, "images": images, "type": "album", "artists": artists}

    def track_json(self, track: Track) -> dict[str, Any]:
        return {
            "id": track.spotify,
            "uri": f"spotify:track:{track.spotify}",
            "type": "track",
            "name": track.title,
            "artists": [{"id": track.album_id, "name": track.artist, "type": "artist"}],
            "album": self._album_of(track),
            "duration_ms": round(track.duration_s * 1000),
            "external_ids": {"isrc": track.isrc} if track.isrc else {},
            "explicit": False,
        }


def _sought(track: Track, terms: Mapping[str, str]) -> bool:
    places = {"track": track.title, "artist": track.artist, "album": track.album}
    return all(set(words(terms[name])) <= set(words(place)) for name, place in places.items() if name in terms)

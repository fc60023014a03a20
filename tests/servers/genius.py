"""Genius API (https://docs.genius.com) under `/api`, with song pages and images."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from tests.servers.base import ReceivedRequest, Reply, Schedule, Server
from tests.servers.tracks import Track, found, jpeg

TOKEN = "gN-client-access-token-of-the-tests"
CHALLENGE = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><div id='challenge-form'>"
    b"<script src='/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1'></script></div></body></html>"
)
NO_COVER = "https://assets.genius.com/images/default_cover_image.png?1700000000"


def as_json(value: Any, status: int = 200) -> Reply:
    return Reply({"meta": {"status": status}, "response": value}, status)


def page(lines: Sequence[str], *, title: str = "Song") -> bytes:
    """Return a song page with a heading, verses and an annotation link in the first line."""
    first, *rest = [html.escape(line) for line in lines]
    body = (
        f'<div class="LyricsHeader__Container">12 Contributors{title} Lyrics</div><a href="/1"><span>{first}</span></a>'
    )
    body += "".join(f"<br/>{line}" for line in rest)
    head = f"<head><title>{title} Lyrics | Genius Lyrics</title></head>"
    return f'<!doctype html><html>{head}<body><div data-lyrics-container="true">{body}</div></body></html>'.encode()


def answered(body: bytes, status: int = 200) -> Reply:
    return Reply(body, status, "text/html; charset=utf-8")


class GeniusServer(Server):
    """Server of songs, with captchas as song pages if `walled`, and images for the titles in `covers` or for all."""

    def __init__(
        self,
        tracks: Sequence[Track],
        *,
        walled: bool = False,
        covers: set[str] | None = None,
        faults: Schedule | None = None,
    ) -> None:
        super().__init__(faults=faults)
        self.tracks = list(tracks)
        self.walled, self.covers = walled, covers

    def reply(self, request: ReceivedRequest) -> Reply:
        if request.path.startswith("/images/"):
            return Reply(jpeg(), 200, "image/jpeg")
        if not request.path.startswith("/api/"):
            return self._page(request.path)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            body = {
                "error": "invalid_token",
                "error_description": "The access token provided is expired, revoked, malformed or invalid.",
            }
            return Reply(body, 401)
        if request.path == "/api/search":
            hits = found(self.tracks, request.query.get("q", ""))
            return as_json(
                {
                    "hits": [
                        {"index": "song", "type": "song", "highlights": [], "result": self.song_json(track)}
                        for track in hits
                    ]
                }
            )
        return as_json({}, 404)

    def _page(self, path: str) -> Reply:
        if self.walled:
            return answered(CHALLENGE)
        track = next((track for track in self.tracks if path == f"/{_slug(track)}"), None)
        if track is None:
            return answered(b"<!doctype html><html><body><h1>Oops! Page not found</h1></body></html>", 404)
        return answered(
            page(track.lyrics or (), title=html.escape(track.title)) if track.lyrics else b"<html><body></body></html>"
        )

    def song_json(self, track: Track) -> dict[str, Any]:
        drawn = self.covers is None or track.title in self.covers
        state = "complete" if track.lyrics or track.instrumental else "unreleased"
        return {
            "id": track.number,
            "title": track.title,
            "title_with_featured": track.title,
            "full_title": f"{track.title} by\xa0{track.artist}",
            "path": f"/{_slug(track)}",
            "url": f"https://genius.com/{_slug(track)}",
            "lyrics_state": state,
            "instrumental": track.instrumental,
            "song_art_image_url": f"{self.url}/images/{track.number}.1000x1000x1.jpg" if drawn else NO_COVER,
            "primary_artist": {"id": 1, "name": track.artist, "url": "https://genius.com/artists/1"},
        }


def _slug(track: Track) -> str:
    return f"song-{track.number}-lyrics"

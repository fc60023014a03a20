"""Deezer: covers, and numbers or pictures made of 30 s previews, without a key.

https://developers.deezer.com/api. 50 requests in 5 s for an address; errors come with status 200 and a code. A preview's address is
good for some minutes, so it is heard at once and, unless `audio` is asked for, not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec

from collectors import kept_previews
from collectors.engine.response_shapes import Named, rows, told
from collectors.matching import Candidate, nearest
from collectors.source import (
    Absent,
    Answer,
    Blocked,
    Entity,
    Host,
    Http,
    Rate,
    RateLimited,
    Reply,
    Request,
    Source,
    SourceParams,
    Terms,
    Transient,
)
from collectors.sources.matched_answer import judged, picture
from toolkit.errors import InputError

QUOTA, BUSY, NO_DATA, NO_RIGHT = 4, 700, 800, 200


class DeezerParams(SourceParams):
    """cover: medium is 250 pixels a side, big 500, xl 1,000."""

    api_url: str = "https://api.deezer.com"
    images_url: str = "https://cdn-images.dzcdn.net"
    previews_url: str = "https://cdnt-preview.dzcdn.net"
    cover: Literal["medium", "big", "xl"] = "big"


class Error(msgspec.Struct):
    code: int
    type: str = ""
    message: str = ""


class Album(msgspec.Struct):
    title: str
    artist: Named | None = None
    cover_medium: str | None = None
    cover_big: str | None = None
    cover_xl: str | None = None


class Track(msgspec.Struct):
    title: str
    artist: Named
    duration: float | None = None
    isrc: str | None = None
    preview: str | None = None


class Deezer(Source):
    """Album covers, and features computed from 30 s previews, from Deezer.

    Tracks are found by ISRC, or else by name.
    """

    name = "deezer"
    page = "https://developers.deezer.com/api"
    fields: ClassVar[Mapping[str, Entity]] = {
        "cover": "album",
        "audio_features": "track",
        "cqt": "track",
        "audio": "track",
    }
    by_choice = ("audio",)
    together = True
    hosts = (
        Host("api_url", (Rate(50, 5),), requests={"cover": 1, **dict.fromkeys(kept_previews.FIELDS, 2)}),
        Host("images_url", (Rate(10, 1),), requests={"cover": 1}),
        Host("previews_url", (Rate(10, 1),), requests=dict.fromkeys(kept_previews.FIELDS, 1)),
    )
    uses = ("isrc",)
    terms = Terms(
        train_allowed=None,
        licence="Deezer for Developers terms of use; recordings and covers under their owners' copyright",
        page="https://developers.deezer.com/termsofuse",
        attribution="Data from Deezer, with a link to the track or album",
    )
    Params = DeezerParams

    def collect(self, request: Request, http: Http) -> Answer:
        return self._cover(request, http) if request.entity == "album" else self._preview(request, http)

    def _preview(self, request: Request, http: Http) -> Answer:
        found = self._track(request, http)
        if found is None:
            return Absent()
        track, score, payload = found
        if not track.preview:
            return Absent("no preview", payload)
        note = f"found {track.title!r} by {track.artist.name!r}"
        return judged(score, kept_previews.heard(http, track.preview, request.fields), payload, note=note)

    def _track(self, request: Request, http: Http) -> tuple[Track, float, bytes] | None:
        if isrc := request.ids.get("isrc"):
            body, reply = self._asked(http, f"/track/isrc:{isrc}")
            if body:
                track = told(body, Track, "Deezer")
                if (track.isrc or isrc).upper() != isrc.upper():
                    raise Transient("Deezer answers with another track than was asked for")
                return track, 1.0, reply.content
        if not request.title or not request.artists:
            return None
        body, reply = self._asked(
            http, "/search", f'artist:"{_bare(request.artists[0])}" track:"{_bare(request.title)}"'
        )
        tracks = rows(body, Track, "data", what="Deezer") if body else []
        found = nearest(request, tracks, lambda track: Candidate(track.title, (track.artist.name,), track.duration))
        return found and (*found, reply.content)

    def _cover(self, request: Request, http: Http) -> Answer:
        if not request.title:
            return Absent("no name to search by")
        named = f'album:"{_bare(request.title)}"' + (
            f' artist:"{_bare(request.artists[0])}"' if request.artists else ""
        )
        body, reply = self._asked(http, "/search/album", named)
        albums = rows(body, Album, "data", what="Deezer") if body else []
        found = nearest(
            request, albums, lambda album: Candidate(album.title, (album.artist.name,) if album.artist else ())
        )
        if found is None:
            return Absent(payload=reply.content)
        album, score = found
        url = getattr(album, f"cover_{self.params.cover}") or ""
        # an empty hash stands in the address where there is no picture
        if not url or "/cover//" in url:
            return Absent("no cover", reply.content)
        return judged(score, picture(http, url), reply.content, note=f"found {album.title!r}")

    def _asked(self, http: Http, path: str, query: str | None = None) -> tuple[dict[str, Any] | None, Reply]:
        """The answer, None for no data. Raises the trouble that the error's code means."""
        reply = http.get(f"{self.params.api_url}{path}", {"q": query} if query else None)
        body = reply.json()
        if reply.status == 404 or not isinstance(body, dict):
            raise Transient("Deezer answers with something else than an object", status=reply.status)
        if not body.get("error"):
            return body, reply
        error = told(body["error"], Error, "Deezer")
        code, message = error.code, error.message or error.type
        if code == NO_DATA:
            return None, reply
        if code == QUOTA:
            raise RateLimited(f"Deezer: {message}", status=200, retry_after=5)
        if code == NO_RIGHT:
            raise Blocked(f"Deezer: {message}", status=200)
        if code == BUSY:
            raise Transient(f"Deezer: {message}", status=200)
        raise InputError(f"Deezer refuses the request {path} as wrong (code {code}): {message}")


def _bare(text: str) -> str:
    """Without what ends a quoted word of a query."""
    return text.replace('"', " ")

"""Album covers and 30 s previews from Deezer.

https://developers.deezer.com/api. Rate: 50 requests in 5 s per IP address. Errors have status 200 and a code. The
URL of a preview expires after some minutes, so the preview is downloaded at once. It is stored only if `audio` is
requested.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from collectors import matching, preview_features
from collectors.engine.json_conversion import Named, convert, convert_rows
from collectors.source import (
    Absent,
    Answer,
    Blocked,
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
    Trouble,
)
from collectors.sources.matched_answer import answer_by_score, fetch_cover, quoted_query

QUOTA, BUSY, NO_DATA, NO_RIGHT = 4, 700, 800, 200


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

    Tracks are found by ISRC or by name.
    """

    name = "deezer"
    page = "https://developers.deezer.com/api"
    fields = {"cover": "album", **preview_features.FIELDS}
    by_choice = ("audio",)
    together = True
    hosts = (
        Host("api_url", (Rate(50, 5),), requests={"cover": 1, **dict.fromkeys(preview_features.FIELDS, 2)}),
        Host("images_url", (Rate(10, 1),), requests={"cover": 1}),
        Host("previews_url", (Rate(10, 1),), requests=dict.fromkeys(preview_features.FIELDS, 1)),
    )
    uses = ("isrc",)
    terms = Terms(
        train_allowed=None,
        licence="Deezer for Developers terms of use; recordings and covers under their owners' copyright",
        page="https://developers.deezer.com/termsofuse",
        attribution="Data from Deezer, with a link to the track or album",
    )

    class Params(SourceParams):
        """Parameters, with the cover size `medium` (250 pixels), `big` (500 pixels) or `xl` (1,000 pixels)."""

        api_url: str = "https://api.deezer.com"
        images_url: str = "https://cdn-images.dzcdn.net"
        previews_url: str = "https://cdnt-preview.dzcdn.net"
        cover: Literal["medium", "big", "xl"] = "big"

    def collect(self, request: Request, http: Http) -> Answer:
        return self._cover(request, http) if request.entity == "album" else self._preview(request, http)

    def _preview(self, request: Request, http: Http) -> Answer:
        match = self._track(request, http)
        if match is None:
            return Absent()
        track, score, payload = match
        if not track.preview:
            return Absent("no preview", payload)
        note = f"found {track.title!r} by {track.artist.name!r}"
        return answer_by_score(score, preview_features.fetch(http, track.preview, request.fields), payload, note=note)

    def _track(self, request: Request, http: Http) -> tuple[Track, float, bytes] | None:
        """Return the track, the match score and the payload, by ISRC or by name."""
        if isrc := request.ids.get("isrc"):
            body, reply = self._get(http, f"/track/isrc:{isrc}")
            if body:
                track = convert(body, Track, "Deezer")
                if (track.isrc or isrc).upper() != isrc.upper():
                    raise Transient(f"Deezer returned ISRC {track.isrc} instead of {isrc}")
                return track, 1.0, reply.content
        if not request.title or not request.artists:
            return None
        body, reply = self._get(http, "/search", quoted_query(artist=request.artists[0], track=request.title))
        tracks = convert_rows(body, Track, "data", service="Deezer") if body else []
        match = matching.nearest(
            request, tracks, lambda track: matching.Candidate(track.title, (track.artist.name,), track.duration)
        )
        return match and (*match, reply.content)

    def _cover(self, request: Request, http: Http) -> Answer:
        if not request.title:
            return Absent("no name to search by")
        phrases = {"album": request.title} | ({"artist": request.artists[0]} if request.artists else {})
        body, reply = self._get(http, "/search/album", quoted_query(**phrases))
        albums = convert_rows(body, Album, "data", service="Deezer") if body else []
        match = matching.nearest(
            request, albums, lambda album: matching.Candidate(album.title, (album.artist.name,) if album.artist else ())
        )
        if match is None:
            return Absent(payload=reply.content)
        album, score = match
        url = getattr(album, f"cover_{self.params.cover}") or ""
        # without a cover, the URL has an empty hash
        if not url or "/cover//" in url:
            return Absent("no cover", reply.content)
        return answer_by_score(score, fetch_cover(http, url), reply.content, note=f"found {album.title!r}")

    def _get(self, http: Http, path: str, query: str | None = None) -> tuple[dict[str, object] | None, Reply]:
        """Return the decoded answer, or None without data. Raises the trouble for an error code."""
        reply = http.get(f"{self.params.api_url}{path}", {"q": query} if query else None)
        body = reply.json()
        if reply.status == 404 or not isinstance(body, dict):
            raise Transient(f"Deezer returned HTTP {reply.status} without a JSON object", status=reply.status)
        if not body.get("error"):
            return body, reply
        error = convert(body["error"], Error, "Deezer")
        code, message = error.code, error.message or error.type
        if code == NO_DATA:
            return None, reply
        if code == QUOTA:
            raise RateLimited(f"Deezer: {message}", status=200, retry_after=5)
        if code == NO_RIGHT:
            raise Blocked(f"Deezer: {message}", status=200)
        if code == BUSY:
            raise Transient(f"Deezer: {message}", status=200)
        raise Trouble(f"Deezer rejected the request (code {code}, {message})", status=200)

"""Last.fm web services 2.0 (https://www.last.fm/api) with replies in XML."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from tests.servers.base import ReceivedRequest, Reply, Schedule, Server

KEY = "9f8e7d6c5b4a39281706f5e4d3c2b1a0"
TAIL = (
    ' <a href="https://www.last.fm/music/{name}">Read more on Last.fm</a>. User-contributed text is available under the'
    " Creative Commons By-SA License; additional terms may apply."
)
STATUS = {6: 400, 10: 403, 26: 403, 29: 429, 8: 500, 11: 503, 16: 503}


@dataclass(frozen=True)
class Artist:
    """Artist with a biography, which may be empty, and tags as (name, weight from 0 to 100)."""

    name: str
    mbid: str = ""
    biography: str = ""
    tags: tuple[tuple[str, int], ...] = ()


def as_xml(inner: str, status: int = 200, *, good: bool = True, **headers: str) -> Reply:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<lfm status="{"ok" if good else "failed"}">{inner}</lfm>'
    return Reply(body, status, "text/xml; charset=UTF-8", headers)


def error(code: int, message: str, **headers: str) -> Reply:
    return as_xml(f'<error code="{code}">{escape(message)}</error>', STATUS.get(code, 400), good=False, **headers)


class LastfmServer(Server):
    """Server of artists with one track each, `Sea Above`; `corrected` maps names to other artists."""

    def __init__(
        self, artists: Sequence[Artist], *, corrected: Mapping[str, str] | None = None, faults: Schedule | None = None
    ) -> None:
        super().__init__(faults=faults)
        self.artists = {artist.name.casefold(): artist for artist in artists}
        self.corrected = dict(corrected or {})

    def reply(self, request: ReceivedRequest) -> Reply:
        if request.method != "POST" or request.path != "/2.0/":
            return Reply(b"", 404, "text/plain")
        form = request.form()
        if form.get("api_key") != KEY:
            return error(10, "Invalid API key - You must be granted a valid key by last.fm")
        artist = self._artist(form)
        if artist is None:
            return error(6, "The artist you supplied could not be found")
        match form.get("method", "").casefold():
            case "artist.getinfo":
                return as_xml(_info(artist))
            case "track.gettoptags" if form.get("track", "").casefold() != "sea above":
                return error(6, "Track not found")
            case "track.gettoptags":
                tags = "".join(
                    f"<tag><count>{n}</count><name>{name}</name></tag>"
                    for name, n in (("harbour", 100), ("sea", 50), ("x", 1))
                )
                return as_xml(f'<toptags artist={quoteattr(artist.name)} track="Sea Above">{tags}</toptags>')
            case "artist.gettoptags":
                tags = "".join(
                    f"<tag><count>{n}</count><name>{escape(name)}</name><url>https://x</url></tag>"
                    for name, n in artist.tags
                )
                return as_xml(f"<toptags artist={quoteattr(artist.name)}>{tags}</toptags>")
        return error(3, "Invalid Method - No method with that name in this package")

    def _artist(self, form: Mapping[str, str]) -> Artist | None:
        if "mbid" in form:
            return next((artist for artist in self.artists.values() if artist.mbid == form["mbid"]), None)
        name = form.get("artist", "")
        return self.artists.get(self.corrected.get(name, name).casefold())


def _info(artist: Artist) -> str:
    tail = TAIL.format(name=urllib.parse.quote_plus(artist.name))
    content = f"{artist.biography}{tail}" if artist.biography else ""
    mbid = f"<mbid>{artist.mbid}</mbid>" if artist.mbid else ""
    summary = f"<published>01 Jan 2020, 00:00</published><summary>{escape(content[:300])}</summary>"
    bio = f"{summary}<content>{escape(content)}</content>"
    facts = f"<url>https://x</url><stats><listeners>9</listeners></stats><bio>{bio}</bio>"
    return f"<artist><name>{escape(artist.name)}</name>{mbid}{facts}</artist>"

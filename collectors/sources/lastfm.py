"""Last.fm by pylast: artists' biographies and tags, and tracks' tags.

https://www.last.fm/api. Terms: https://www.last.fm/api/tos, which cap what may be stored at 100 MB and ask for non-commercial use.
Biographies are their writers' under CC BY-SA. One article may stand for several artists of a name: such a text is kept apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import pylast
from pydantic import Field

from collectors.matching import ENOUGH, Candidate, score
from collectors.source import (
    Absent,
    Ambiguous,
    Answer,
    Entity,
    Host,
    Http,
    Rate,
    RateLimited,
    Request,
    Source,
    SourceParams,
    Terms,
    Transient,
    Trouble,
)
from collectors.sources.clients.lastfm_transport import Transport
from collectors.sources.matched_answer import judged
from toolkit.errors import InputError

KEY = "LASTFM_API_KEY"
NOTHING = {"6", "7"}
LATER = {"8", "11", "16", "500", "502", "503", "504"}
TOO_MANY = "29"
LINK = re.compile(
    r'\s*<a href="https?://www\.last\.fm/[^"]*">\s*Read more on Last\.fm\s*</a>.*', re.DOTALL | re.IGNORECASE
)
NAMESAKES = re.compile(
    r"\A\W*(there (?:are|is|were)\b[^.]{0,60}\b(?:artists?|bands?|acts?|groups?|musicians?)\b"
    r"|this (?:is not an|name is shared|tag)|1[.)]\s)",
    re.IGNORECASE,
)


class LastfmParams(SourceParams):
    """weight: of a tag, 0…100 beside the artist's or track's foremost, that it must have. tags: most that are kept."""

    url: str = "https://ws.audioscrobbler.com"
    weight: int = Field(10, ge=0, le=100)
    tags: int = Field(50, ge=1)


class Lastfm(Source):
    """Biographies and tags of artists, and tags of tracks, from Last.fm.

    Artists are found by MusicBrainz id or by name. Tags are joined by commas, the highest weight first.
    """

    name = "lastfm"
    page = "https://www.last.fm/api"
    fields: ClassVar[Mapping[str, Entity]] = {"biography": "artist", "artist_tags": "artist", "tags": "track"}
    hosts = (Host("url", (Rate(5, 1),), requests={"biography": 2, "artist_tags": 1, "tags": 1}),)
    keys = (KEY,)
    uses = ("mbid",)
    terms = Terms(
        train_allowed=None,
        licence="Last.fm API terms of service, non-commercial; biographies CC BY-SA",
        page="https://www.last.fm/api/tos",
        attribution="Data from Last.fm, with a link to the page of the artist or track",
        storage_bytes=100_000_000,
    )
    Params = LastfmParams

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        with pylast.httpx.HTTPTransport(verify=pylast.SSL_CONTEXT) as self._connections:
            yield

    def collect(self, request: Request, http: Http) -> Answer:
        if not request.artists or (request.entity == "track" and not request.title):
            return Absent("no name to ask by")
        transport = Transport(self._connections, http, self.params.url)
        network = pylast.LastFMNetwork(api_key=self.secrets[KEY])
        network.ws_server, network.proxy = transport.server, {"https://": transport}  # type: ignore[dict-item]
        if request.fields == ("biography",):
            return self._biography(request, network, transport)
        return self._tags(request, network, transport)

    def _biography(self, request: Request, network: pylast.LastFMNetwork, transport: Transport) -> Answer:
        name, mbid = request.artists[0], request.ids.get("mbid")
        there = mbid is not None and _asked(lambda: network.get_artist_by_mbid(mbid))
        if not there and not _asked(lambda: network.get_artist(name).get_bio_content()):
            return Absent(payload=transport.last)
        artist = _parsed(transport.last).find("artist")
        if artist is None:
            raise Transient("Last.fm answers with something else than an artist")
        given = (artist.findtext("name") or "").strip()
        same = mbid is not None and (artist.findtext("mbid") or "").strip() == mbid
        text = re.sub(r"<[^<>]{0,300}>", "", LINK.sub("", artist.findtext("bio/content") or "")).strip()
        if not text:
            return Absent("no biography", transport.last)
        fits = 1.0 if same else score(request, Candidate(artists=(given,)))
        if NAMESAKES.match(text):
            return Ambiguous(
                min(fits, ENOUGH - 0.1), {"biography": text}, "the article is about several artists", transport.last
            )
        return judged(fits, {"biography": text}, transport.last, note=f"found {given!r}")

    def _tags(self, request: Request, network: pylast.LastFMNetwork, transport: Transport) -> Answer:
        name = request.artists[0]
        of: Any = (
            network.get_artist(name) if request.entity == "artist" else network.get_track(name, request.title or "")
        )
        found: list[Any] = []
        if not _asked(lambda: found.extend(of.get_top_tags())):
            return Absent(payload=transport.last)
        about = _parsed(transport.last).find("toptags")
        given = dict(about.attrib) if about is not None else {}
        title = None if request.entity == "artist" else given.get("track", request.title)
        fits = score(request, Candidate(title, (given.get("artist", name),)))
        names = [
            str(tag.item.get_name()).replace(",", " ").strip()
            for tag in found
            if _weight(tag.weight) >= self.params.weight
        ]
        names = [name for name in names if name][: self.params.tags]
        if not names:
            return Absent("no tags", transport.last)
        return judged(fits, {request.fields[0]: ", ".join(names)}, transport.last, note=f"found {given}")


def _asked(question: Callable[[], Any]) -> bool:
    """Whether the service has what was asked for, its errors as troubles."""
    try:
        question()
    except pylast.WSError as error:
        code = str(error.status)
        if code in NOTHING:
            return False
        if code == TOO_MANY:
            raise RateLimited(f"Last.fm: {error.details}") from None
        if code in LATER:
            raise Transient(f"Last.fm: {error.details}", status=int(code) if len(code) == 3 else None) from None
        raise InputError(f"Last.fm refuses {KEY} (code {code}): {error.details}") from None
    except pylast.NetworkError as error:
        trouble = error.underlying_error
        raise (
            trouble if isinstance(trouble, Trouble) else Transient(f"Last.fm breaks off: {type(trouble).__name__}")
        ) from None
    except (pylast.MalformedResponseError, IndexError, AttributeError):
        raise Transient("Last.fm answers with broken XML") from None
    return True


def _parsed(body: bytes) -> ElementTree.Element:
    """A body that `Transport` let pass: it declares no entities."""
    return ElementTree.fromstring(body)


def _weight(text: Any) -> int:
    return int(text) if str(text).isdecimal() else 0

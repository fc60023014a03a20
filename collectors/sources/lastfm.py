"""Artist biographies, artist tags and track tags from Last.fm with pylast.

https://www.last.fm/api. Terms: https://www.last.fm/api/tos, which allow storing 100 MB and only non-commercial use.
Biographies are licensed under CC BY-SA. An article about several artists with the same name is ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pylast
from pydantic import Field

from collectors.engine import checked_network
from collectors.matching import ENOUGH, Candidate, score
from collectors.source import (
    Absent,
    Ambiguous,
    Answer,
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
from collectors.sources.matched_answer import answer_by_score
from toolkit.errors import InputError

KEY = "LASTFM_API_KEY"
UNKNOWN_NAME = {"6", "7"}
TEMPORARY = {"8", "11", "16", "500", "502", "503", "504"}
TOO_MANY = "29"
REJECTED = {"4", "9", "10", "13", "14", "26"}
"""Error codes that concern the key. Other codes concern one request."""
LINK = re.compile(
    r'<a href="https?://www\.last\.fm/[^"]*">\s*Read more on Last\.fm\s*</a>.*', re.DOTALL | re.IGNORECASE
)
NAMESAKES = re.compile(
    r"\A\W*(there (?:are|is|were)\b[^.]{0,60}\b(?:artists?|bands?|acts?|groups?|musicians?)\b"
    r"|this (?:is not an|name is shared|tag)|1[.)]\s)",
    re.IGNORECASE,
)


class Lastfm(Source):
    """Artist biographies, artist tags and track tags from Last.fm.

    Artists are found by MusicBrainz id or by name. Tags are separated by commas, in order of descending weight.
    """

    name = "lastfm"
    page = "https://www.last.fm/api"
    fields = {"biography": "artist", "artist_tags": "artist", "tags": "track"}
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

    class Params(SourceParams):
        """Parameters of Last.fm.

        - weight: minimum weight of a tag, from 0 to 100, relative to the maximum of the artist or track.
        - tags: maximum number of tags.
        """

        url: str = "https://ws.audioscrobbler.com"
        weight: int = Field(10, ge=0, le=100)
        tags: int = Field(50, ge=1)

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        with pylast.httpx.HTTPTransport(verify=pylast.SSL_CONTEXT) as self._connections:
            checked_network.guard(self._connections, lambda host, port: True)  # it is sent to the server in `url` alone
            yield

    def collect(self, request: Request, http: Http) -> Answer:
        if not request.artists or (request.entity == "track" and not request.title):
            return Absent("no name to look up")
        transport = Transport(self._connections, http, self.params.url)
        lastfm = pylast.LastFMNetwork(api_key=self.secrets[KEY])
        lastfm.ws_server, lastfm.proxy = transport.server, {"https://": transport}  # type: ignore[dict-item]
        if request.fields == ("biography",):
            return self._biography(request, lastfm, transport)
        return self._tags(request, lastfm, transport)

    def _biography(self, request: Request, lastfm: pylast.LastFMNetwork, transport: Transport) -> Answer:
        name, mbid = request.artists[0], request.ids.get("mbid")
        known = mbid is not None and _exists(lambda: lastfm.get_artist_by_mbid(mbid))
        if not known and not _exists(lambda: lastfm.get_artist(name).get_bio_content()):
            return Absent(payload=transport.last)
        artist = ElementTree.fromstring(transport.last).find("artist")  # nosec B314 # a bounded body, whose entities expat bounds
        if artist is None:
            raise Transient("Last.fm returned XML without an artist")
        official = (artist.findtext("name") or "").strip()
        same = mbid is not None and (artist.findtext("mbid") or "").strip() == mbid
        text = re.sub(r"<[^<>]{0,300}>", "", LINK.sub("", artist.findtext("bio/content") or "")).strip()
        if not text:
            return Absent("no biography", transport.last)
        fit = 1.0 if same else score(request, Candidate(artists=(official,)))
        values, payload = {"biography": text}, transport.last
        if NAMESAKES.match(text):
            return Ambiguous(min(fit, ENOUGH - 0.1), values, "the article is about several artists", payload)
        return answer_by_score(fit, values, payload, note=f"found {official!r}")

    def _tags(self, request: Request, lastfm: pylast.LastFMNetwork, transport: Transport) -> Answer:
        name = request.artists[0]
        artist, track = lastfm.get_artist(name), lastfm.get_track(name, request.title or "")
        tagged = artist if request.entity == "artist" else track
        tags: list[pylast.TopItem] = []
        if not _exists(lambda: tags.extend(tagged.get_top_tags())):
            return Absent(payload=transport.last)
        element = ElementTree.fromstring(transport.last).find("toptags")  # nosec B314 # a bounded body, whose entities expat bounds
        official = dict(element.attrib) if element is not None else {}
        title = None if request.entity == "artist" else official.get("track", request.title)
        fit = score(request, Candidate(title, (official.get("artist", name),)))
        heavy = [tag for tag in tags if _weight(tag.weight) >= self.params.weight]
        names = [name for tag in heavy if (name := str(tag.item.get_name()).replace(",", " ").strip())]
        if not names:
            return Absent("no tags", transport.last)
        values = {request.fields[0]: ", ".join(names[: self.params.tags])}
        return answer_by_score(fit, values, transport.last, note=f"found {official}")


def _exists(call: Callable[[], object]) -> bool:
    """Return whether the service knows the name requested by `call`. Raises troubles for errors."""
    try:
        call()
    except pylast.WSError as error:
        code = str(error.status)
        if code in UNKNOWN_NAME:
            return False
        if code == TOO_MANY:
            raise RateLimited(f"Last.fm: {error.details}") from None
        if code in TEMPORARY:
            raise Transient(f"Last.fm: {error.details}", status=int(code) if len(code) == 3 else None) from None
        if code not in REJECTED:
            raise Trouble(f"Last.fm: {error.details} (code {code})") from None
        raise InputError(
            f"{KEY} was rejected by Last.fm (code {code}, {error.details}): create a key at https://www.last.fm/api"
        ) from None
    except pylast.NetworkError as error:
        cause = error.underlying_error
        if isinstance(cause, Trouble):
            raise cause from None
        raise Transient(f"Last.fm closed the connection ({type(cause).__name__})") from None
    except (pylast.MalformedResponseError, IndexError, AttributeError):
        raise Transient("Last.fm returned invalid XML") from None
    return True


def _weight(text: object) -> int:
    return int(str(text)) if str(text).isdecimal() else 0

"""MusicBrainz ids of recordings, and with them those of their artists and releases.

Page: https://musicbrainz.org/doc/MusicBrainz_API (`/ws/2/recording`, JSON). Rate: one request a second for each address, and a user
agent that names program and contact (https://musicbrainz.org/doc/MusicBrainz_API/Rate_Limiting). Licence of ids and names: CC0.
A recording is asked for by its id, else its ISRC, else title and artist. An ISRC is searched for instead of looked up: a search's
answer has the releases, an ISRC lookup's does not, and at one request a second that halves the time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from collectors.engine.response_shapes import shaped
from collectors.source import (
    Absent,
    Answer,
    Entity,
    Found,
    Host,
    Http,
    Rate,
    Reply,
    Request,
    Source,
    SourceParams,
    Terms,
)
from collectors.sources.clients.musicbrainz_api import MBID, Hits, Recording, chosen, held_isrc

HITS = 25
ONE_A_SECOND = (Rate(1, 1.0),)


class MusicBrainzParams(SourceParams):
    url: str = "https://musicbrainz.org"


class MusicBrainz(Source):
    """MusicBrainz ids of recordings, artists and releases, from the MusicBrainz web service.

    `mbid` is the recording's. With it come the `mbid` of its artists, and the `mbid` (release group) and `release_mbid` of its album.
    """

    name: ClassVar[str] = "musicbrainz"
    page: ClassVar[str] = "https://musicbrainz.org/doc/MusicBrainz_API"
    fields: ClassVar[Mapping[str, Entity]] = {"mbid": "track"}
    terms: ClassVar[Terms] = Terms(
        True, "CC0-1.0", "https://musicbrainz.org/doc/About/Data_License", attribution="MusicBrainz"
    )
    hosts: ClassVar[tuple[Host, ...]] = (Host("url", ONE_A_SECOND, concurrency=1, requests=2),)
    uses: ClassVar[tuple[str, ...]] = ("isrc",)
    Params: ClassVar[type[SourceParams]] = MusicBrainzParams

    def collect(self, request: Request, http: Http) -> Answer:
        if MBID.fullmatch(held := request.ids.get("mbid", "")):
            return self._looked_up(request, held, http)
        if (isrc := held_isrc(request)) is not None:
            reply = self._searched(f"isrc:{isrc}", http)
            answer = chosen(request, shaped(reply, Hits, what=self.name).recordings, reply.content, by_id=True)
            # an ISRC that MusicBrainz does not know, or that was given to another song, says nothing: the names may
            if isinstance(answer, Found):
                return answer
        if not request.title:
            return Absent("no title to search for")
        clauses = [f"recording:({lucene(request.title)})"]
        if request.artists:
            clauses.append(f"artist:({lucene(request.artists[0])})")
        reply = self._searched(" AND ".join(clauses), http)
        return chosen(request, shaped(reply, Hits, what=self.name).recordings, reply.content)

    def _looked_up(self, request: Request, mbid: str, http: Http) -> Answer:
        """A recording by its id; a merged one answers under its new id."""
        asked = {"inc": "artist-credits releases release-groups", "fmt": "json"}
        reply = http.get(f"{self.params.url}/ws/2/recording/{mbid}", asked)
        found = [] if reply.status == 404 else [shaped(reply, Recording, what=self.name)]
        return chosen(request, found, reply.content, by_id=True)

    def _searched(self, query: str, http: Http) -> Reply:
        return http.get(f"{self.params.url}/ws/2/recording", {"query": query, "limit": HITS, "fmt": "json"})


def lucene(text: str) -> str:
    """A text as search words: nothing of it is read as an operator (https://lucene.apache.org/core/, classic query parser)."""
    return re.sub(r'([+\-&|!(){}\[\]^"~*?:\\/])', r"\\\1", text.lower())

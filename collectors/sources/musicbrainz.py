"""MusicBrainz ids of recordings, and of their artists and releases.

Page: https://musicbrainz.org/doc/MusicBrainz_API (`/ws/2/recording`, JSON). Rate: one request a second for each IP
address, with a user agent that names program and contact (https://musicbrainz.org/doc/MusicBrainz_API/Rate_Limiting).
Licence of ids and names: CC0. A recording is requested by its id, or else its ISRC, or else title and artist. An ISRC
is searched for instead of looked up, because only a search returns the releases. At one request a second that halves
the time.
"""

from __future__ import annotations

import re

from collectors.engine.json_conversion import decode
from collectors.source import (
    Absent,
    Answer,
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
from collectors.sources.clients.musicbrainz_recordings import MBID, Hits, Recording, best_answer, valid_isrc

HITS = 25
ONE_A_SECOND = (Rate(1, 1.0),)


class MusicBrainzParams(SourceParams):
    url: str = "https://musicbrainz.org"


class MusicBrainz(Source):
    """MusicBrainz ids of recordings, artists and releases, from the MusicBrainz web service.

    `mbid` is the recording's. With it come the `mbid` of its artists, and the `mbid` (release group) and `release_mbid`
    of its album.
    """

    name = "musicbrainz"
    page = "https://musicbrainz.org/doc/MusicBrainz_API"
    fields = {"mbid": "track"}
    terms = Terms(True, "CC0-1.0", "https://musicbrainz.org/doc/About/Data_License", attribution="MusicBrainz")
    hosts = (Host("url", ONE_A_SECOND, concurrency=1, requests=2),)
    uses = ("isrc",)
    Params = MusicBrainzParams

    def collect(self, request: Request, http: Http) -> Answer:
        if MBID.fullmatch(mbid := request.ids.get("mbid", "")):
            return self._look_up(request, mbid, http)
        if (isrc := valid_isrc(request)) is not None:
            reply = self._search(f"isrc:{isrc}", http)
            answer = best_answer(request, decode(reply, Hits, service=self.name).recordings, reply.content, by_id=True)
            # an ISRC may be unknown to MusicBrainz or belong to another song: search by name then
            if isinstance(answer, Found):
                return answer
        if not request.title:
            return Absent("no title to search by")
        clauses = [f"recording:({lucene(request.title)})"]
        if request.artists:
            clauses.append(f"artist:({lucene(request.artists[0])})")
        reply = self._search(" AND ".join(clauses), http)
        return best_answer(request, decode(reply, Hits, service=self.name).recordings, reply.content)

    def _look_up(self, request: Request, mbid: str, http: Http) -> Answer:
        """The answer of a recording by its id. A merged recording is returned under its new id."""
        query = {"inc": "artist-credits releases release-groups", "fmt": "json"}
        reply = http.get(f"{self.params.url}/ws/2/recording/{mbid}", query)
        recordings = [] if reply.status == 404 else [decode(reply, Recording, service=self.name)]
        return best_answer(request, recordings, reply.content, by_id=True)

    def _search(self, query: str, http: Http) -> Reply:
        return http.get(f"{self.params.url}/ws/2/recording", {"query": query, "limit": HITS, "fmt": "json"})


def lucene(text: str) -> str:
    """A text as search words, with all operators escaped (https://lucene.apache.org/core/, classic query parser)."""
    return re.sub(r'([+\-&|!(){}\[\]^"~*?:\\/])', r"\\\1", text.lower())

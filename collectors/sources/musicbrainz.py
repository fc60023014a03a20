"""MusicBrainz ids of recordings, artists and releases, and MusicBrainz genres and tags.

Page: https://musicbrainz.org/doc/MusicBrainz_API (`/ws/2/recording`, JSON). Rate: one request per second and IP
address, with a user agent that contains program and contact
(https://musicbrainz.org/doc/MusicBrainz_API/Rate_Limiting).
Licence of ids and names: CC0. A recording is requested by id, ISRC, or title and artist, in this order. An ISRC is
searched instead of looked up, because only a search returns the releases, which halves the number of requests.

Genres and tags (`inc=genres+tags`) are supplementary data under CC BY-NC-SA 3.0. Whether training is allowed depends on
the purpose, so a recipe must allow it.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

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
from collectors.sources.clients.musicbrainz_recordings import MBID, Artist, Hits, Recording, best_answer, valid_isrc

HITS = 25
ONE_A_SECOND = (Rate(1, 1.0),)


class MusicBrainz(Source):
    """MusicBrainz ids of recordings, artists and releases, from the MusicBrainz web service.

    `mbid` is the id of the recording. The answer also has the `mbid` of artists, and the `mbid` (release group) and
    `release_mbid` of the album.
    """

    name = "musicbrainz"
    page = "https://musicbrainz.org/doc/MusicBrainz_API"
    fields = {"mbid": "track"}
    terms = Terms(True, "CC0-1.0", "https://musicbrainz.org/doc/About/Data_License", attribution="MusicBrainz")
    hosts = (Host("url", ONE_A_SECOND, concurrency=1, requests=2),)
    uses = ("isrc",)

    class Params(SourceParams):
        url: str = "https://musicbrainz.org"

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
        clauses = [
            f"recording:({lucene(request.title)})",
            *(f"artist:({lucene(name)})" for name in request.artists[:1]),
        ]
        reply = self._search(" AND ".join(clauses), http)
        return best_answer(request, decode(reply, Hits, service=self.name).recordings, reply.content)

    def _look_up(self, request: Request, mbid: str, http: Http) -> Answer:
        """Return the answer for a recording id. A merged recording is returned with the new id."""
        query = {"inc": "artist-credits releases release-groups", "fmt": "json"}
        reply = http.get(f"{self.params.url}/ws/2/recording/{mbid}", query)
        recordings = [] if reply.status == 404 else [decode(reply, Recording, service=self.name)]
        return best_answer(request, recordings, reply.content, by_id=True)

    def _search(self, query: str, http: Http) -> Reply:
        return http.get(f"{self.params.url}/ws/2/recording", {"query": query, "limit": HITS, "fmt": "json"})


class MusicBrainzTags(Source):
    """Genres and tags of recordings and artists by MusicBrainz users.

    `tags` are the tags of the recording or, if missing, of its artists. `artist_tags` are the tags of the artist.
    Tags are separated by commas, in order of descending votes.
    """

    name = "musicbrainz-tags"
    page = "https://musicbrainz.org/doc/MusicBrainz_API"
    fields = {"tags": "track", "artist_tags": "artist"}
    terms = Terms(
        None,
        "CC-BY-NC-SA-3.0",
        "https://musicbrainz.org/doc/About/Data_License",
        attribution="MusicBrainz contributors",
    )
    hosts = (Host("url", ONE_A_SECOND, concurrency=1),)
    needs = ("mbid",)

    class Params(MusicBrainz.Params):
        """Parameters, with `kinds` of tags (`genres` are tags in the MusicBrainz genre list) and minimum `votes`."""

        kinds: Literal["genres", "tags"] = "tags"
        votes: int = Field(1, ge=1)

    def collect(self, request: Request, http: Http) -> Answer:
        track = request.entity == "track"
        mbid, kind = request.ids["mbid"], "recording" if track else "artist"
        if not MBID.fullmatch(mbid):
            return Absent(f"{mbid!r} is not a MusicBrainz id")
        query = {"inc": "artist-credits genres tags" if track else "genres tags", "fmt": "json"}
        reply = http.get(f"{self.params.url}/ws/2/{kind}/{mbid}", query)
        if reply.status == 404:
            return Absent("unknown id", reply.content)
        if track:
            recording = decode(reply, Recording, service=self.name)
            tags = self._tags(recording) or self._tags(*(credit.artist for credit in recording.artist_credit))
        else:
            tags = self._tags(decode(reply, Artist, service=self.name))
        if not tags:
            return Absent("no tags", reply.content)
        return Found({request.fields[0]: ", ".join(tags)}, payload=reply.content)

    def _tags(self, *tagged: Recording | Artist) -> list[str]:
        """Return names with enough votes, in order of descending votes."""
        votes: dict[str, int] = {}
        for entity in tagged:
            for tag in getattr(entity, self.params.kinds):
                # a comma would make two tags of one
                name = " ".join(tag.name.replace(",", " ").split())
                votes[name] = votes.get(name, 0) + (tag.count or 0)
        ranked = sorted(votes, key=lambda name: (-votes[name], name))
        return [name for name in ranked if name and votes[name] >= self.params.votes]


def lucene(text: str) -> str:
    """Return a text with escaped Lucene operators (https://lucene.apache.org/core/, classic query parser)."""
    return re.sub(r'([+\-&|!(){}\[\]^"~*?:\\/])', r"\\\1", text.lower())

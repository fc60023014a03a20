"""Genres and tags of recordings and artists, from the users of MusicBrainz.

Page: https://musicbrainz.org/doc/MusicBrainz_API (`inc=genres+tags`). Rate: one request a second. Licence: tags and
genres are supplementary data under CC BY-NC-SA 3.0. Whether training is allowed depends on its purpose, so a recipe has
to allow it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from collectors.engine.json_conversion import decode
from collectors.source import Absent, Answer, Found, Host, Http, Request, Source, Terms
from collectors.sources.clients.musicbrainz_recordings import MBID, Artist, Recording
from collectors.sources.musicbrainz import ONE_A_SECOND, MusicBrainzParams


class MusicBrainzTagsParams(MusicBrainzParams):
    """kinds: `genres` are the tags in MusicBrainz's list of genres. votes: smallest number of votes of a tag."""

    kinds: Literal["genres", "tags"] = "tags"
    votes: int = Field(1, ge=1)


class MusicBrainzTags(Source):
    """Genres and tags that MusicBrainz users gave to recordings and artists.

    `tags` are those of the recording, or those of its artists if it has none; `artist_tags` are those of the artist.
    They are joined by commas, the most voted first.
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
    Params = MusicBrainzTagsParams

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
        """Names with enough votes, the most voted first."""
        votes: dict[str, int] = {}
        for entity in tagged:
            for tag in getattr(entity, self.params.kinds):
                # a comma would make two tags of one
                name = " ".join(tag.name.replace(",", " ").split())
                votes[name] = votes.get(name, 0) + (tag.count or 0)
        ranked = sorted(votes, key=lambda name: (-votes[name], name))
        return [name for name in ranked if name and votes[name] >= self.params.votes]

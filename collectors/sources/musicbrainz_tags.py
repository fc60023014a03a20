"""Genres and tags that MusicBrainz' users gave to recordings and artists.

Page: https://musicbrainz.org/doc/MusicBrainz_API (`inc=genres+tags`). Rate: one request a second. Licence: tags and genres are
supplementary data under CC BY-NC-SA 3.0, so whether they may be trained on depends on what for: the recipe has to say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from collectors.engine.response_shapes import shaped
from collectors.source import Absent, Answer, Entity, Found, Host, Http, Request, Source, SourceParams, Terms
from collectors.sources.clients.musicbrainz_api import MBID, Artist, Recording
from collectors.sources.musicbrainz import ONE_A_SECOND, MusicBrainzParams


class MusicBrainzTagsParams(MusicBrainzParams):
    """kinds: `genres` are the tags that MusicBrainz lists as such. votes: fewest that a tag must have."""

    kinds: Literal["genres", "tags"] = "tags"
    votes: int = Field(1, ge=1)


class MusicBrainzTags(Source):
    """Genres and tags that MusicBrainz users gave to recordings and artists.

    `tags` are those of the recording, or those of its artists if it has none; `artist_tags` are those of the artist. They are joined by
    commas, the most voted first.
    """

    name: ClassVar[str] = "musicbrainz-tags"
    page: ClassVar[str] = "https://musicbrainz.org/doc/MusicBrainz_API"
    fields: ClassVar[Mapping[str, Entity]] = {"tags": "track", "artist_tags": "artist"}
    terms: ClassVar[Terms] = Terms(
        None,
        "CC-BY-NC-SA-3.0",
        "https://musicbrainz.org/doc/About/Data_License",
        attribution="MusicBrainz contributors",
    )
    hosts: ClassVar[tuple[Host, ...]] = (Host("url", ONE_A_SECOND, concurrency=1),)
    needs: ClassVar[tuple[str, ...]] = ("mbid",)
    Params: ClassVar[type[SourceParams]] = MusicBrainzTagsParams

    def collect(self, request: Request, http: Http) -> Answer:
        track = request.entity == "track"
        mbid, kind = request.ids["mbid"], "recording" if track else "artist"
        if not MBID.fullmatch(mbid):
            return Absent(f"{mbid!r} is not a MusicBrainz id")
        asked = {"inc": "artist-credits genres tags" if track else "genres tags", "fmt": "json"}
        reply = http.get(f"{self.params.url}/ws/2/{kind}/{mbid}", asked)
        if reply.status == 404:
            return Absent("no such id", reply.content)
        if track:
            recording = shaped(reply, Recording, what=self.name)
            found = self._tags(recording) or self._tags(*(credit.artist for credit in recording.artist_credit))
        else:
            found = self._tags(shaped(reply, Artist, what=self.name))
        return (
            Found({request.fields[0]: ", ".join(found)}, payload=reply.content)
            if found
            else Absent("no tags", reply.content)
        )

    def _tags(self, *tagged: Recording | Artist) -> list[str]:
        """Names with enough votes, most first."""
        votes: dict[str, int] = {}
        for each in tagged:
            for tag in getattr(each, self.params.kinds):
                # a comma would make two tags of one
                name = " ".join(tag.name.replace(",", " ").split())
                votes[name] = votes.get(name, 0) + (tag.count or 0)
        return [
            name
            for name in sorted(votes, key=lambda name: (-votes[name], name))
            if name and votes[name] >= self.params.votes
        ]

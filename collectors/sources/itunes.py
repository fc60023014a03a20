"""Album covers and previews from Apple iTunes Search.

https://performance-partners.apple.com/search-api. Rate: about 20 requests per minute;
faster clients get status 403. Previews are AAC files, which PyAV reads (`segue[aac]`). Apple allows their use only to
promote the shop, next to the Apple badge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from pydantic import Field

from collectors import matching, preview_features
from collectors.engine.json_conversion import convert_rows
from collectors.source import Absent, Answer, Host, Http, Rate, Request, Source, SourceParams, Terms
from collectors.sources.matched_answer import answer_by_score, fetch_cover
from toolkit.catalogue.records import FieldValue

MAX_RESULTS = 10


class Item(msgspec.Struct, rename="camel"):
    artist_name: str = ""
    track_name: str | None = None
    collection_name: str | None = None
    track_time_millis: float | None = None
    preview_url: str | None = None
    artwork_url100: str | None = None


class Itunes(Source):
    """Album covers, and features computed from previews, from Apple's iTunes Search.

    Songs and albums are found by name, because the service does not support ISRC.
    """

    name = "itunes"
    page = "https://performance-partners.apple.com/search-api"
    fields = {"cover": "album", **preview_features.FIELDS}
    by_choice = ("audio",)
    together = True
    hosts = (
        Host("api_url", (Rate(20, 60),), concurrency=1),
        Host("previews_url", (Rate(5, 1),), requests=dict.fromkeys(preview_features.FIELDS, 1)),
        Host("images_url", (Rate(5, 1),), requests={"cover": 1}),
    )
    terms = Terms(
        train_allowed=False,
        licence="Apple Services Performance Partners: promotional use next to a store badge",
        page="https://performance-partners.apple.com/search-api",
        attribution="Provided courtesy of iTunes, with a link to the store",
    )

    class Params(SourceParams):
        """Parameters, with the country of the shop and the width of covers in pixels."""

        api_url: str = "https://itunes.apple.com"
        previews_url: str = "https://audio-ssl.itunes.apple.com"
        images_url: str = "https://is1-ssl.mzstatic.com"
        country: str = Field("US", pattern=r"^[A-Z]{2}$")
        cover: int = Field(500, ge=30, le=3000)

    def collect(self, request: Request, http: Http) -> Answer:
        if not request.title:
            return Absent("no name to search by")
        album = request.entity == "album"
        query = {
            "term": " ".join([request.title, *request.artists[:1]]),
            "media": "music",
            "entity": "album" if album else "song",
            "country": self.params.country,
            "limit": MAX_RESULTS,
        }
        reply = http.get(f"{self.params.api_url}/search", query)
        items = convert_rows(reply.json(), Item, "results", service="iTunes")
        match = matching.nearest(
            request,
            items,
            lambda item: matching.Candidate(
                item.collection_name if album else item.track_name,
                (item.artist_name,),
                (item.track_time_millis or 0) / 1000,  # an album has none
            ),
        )
        if match is None:
            return Absent(payload=reply.content)
        item, score = match
        values = self._cover(item, http) if album else self._preview(item, request, http)
        if not values:
            return Absent("no cover" if album else "no preview", reply.content)
        note = f"found {(item.collection_name if album else item.track_name)!r} by {item.artist_name!r}"
        return answer_by_score(score, values, reply.content, note=note)

    def _cover(self, item: Item, http: Http) -> Mapping[str, FieldValue]:
        # the size is part of the image's URL
        url = re.sub(r"/\d+x\d+bb\.", f"/{self.params.cover}x{self.params.cover}bb.", item.artwork_url100 or "")
        return fetch_cover(http, url) if url else {}

    def _preview(self, item: Item, request: Request, http: Http) -> Mapping[str, FieldValue]:
        return preview_features.fetch(http, item.preview_url, request.fields) if item.preview_url else {}

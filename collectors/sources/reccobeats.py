"""ReccoBeats: the eleven audio features of a track by its Spotify id, without a key.

https://reccobeats.com/docs/apis/get-audio-features. Its limits are not published; 429 comes with `Retry-After`. How its numbers are
computed is not published either: they have Spotify's names, and are kept under this source's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from collectors.engine.response_shapes import rows
from collectors.source import (
    Absent,
    Answer,
    Entity,
    Found,
    Host,
    Http,
    Rate,
    Request,
    Source,
    SourceParams,
    Terms,
    Transient,
)
from collectors.sources.matched_answer import eleven


class ReccobeatsParams(SourceParams):
    """api_url: without `/v1`."""

    api_url: str = "https://api.reccobeats.com"


class Reccobeats(Source):
    """Audio features from ReccoBeats, by Spotify id.

    Each request is for one track: a reply identifies tracks by link and leaves out those that ReccoBeats does not know.
    """

    name = "reccobeats"
    page = "https://reccobeats.com/docs/apis/get-audio-features"
    fields: ClassVar[Mapping[str, Entity]] = {"audio_features": "track"}
    hosts = (Host("api_url", (Rate(2, 1),)),)
    needs = ("spotify",)
    uses = ("spotify",)
    terms = Terms(
        train_allowed=None,
        licence="free of charge; what may be done with the numbers is not said",
        page="https://reccobeats.com/docs/documentation/introduction",
    )
    Params = ReccobeatsParams

    def collect(self, request: Request, http: Http) -> Answer:
        spotify = request.ids["spotify"]
        reply = http.get(f"{self.params.api_url}/v1/audio-features", {"ids": spotify})
        if reply.status == 404:
            return Absent(payload=reply.content)
        content = rows(reply.json(), dict[str, Any], "content", what="ReccoBeats")
        if not content:
            return Absent(payload=reply.content)
        row = next((row for row in content if _is(row, request.ids)), None)
        if row is None:
            raise Transient("ReccoBeats answered with another track than was asked for")
        numbers, missing = eleven(row)
        return Absent(missing, reply.content) if missing else Found({"audio_features": numbers}, payload=reply.content)


def _is(row: Mapping[str, Any], ids: Mapping[str, str]) -> bool:
    """A link to the same track, or to another release of the same recording."""
    same = str(row.get("href") or "").rstrip("/").rsplit("/", 1)[-1] == ids["spotify"]
    return same or ("isrc" in ids and str(row.get("isrc") or "").upper() == ids["isrc"].upper())

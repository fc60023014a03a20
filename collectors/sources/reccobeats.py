"""Audio features from ReccoBeats by Spotify id.

https://reccobeats.com/docs/apis/get-audio-features. Rate limits are not published; status 429 has
`Retry-After`. The computation of the numbers is not published. They have the names used by Spotify.
"""

from __future__ import annotations

from collections.abc import Mapping

from collectors.engine.json_conversion import convert_rows
from collectors.source import (
    Absent,
    Answer,
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
from collectors.sources.matched_answer import audio_features_of


class Reccobeats(Source):
    """Audio features from ReccoBeats by Spotify id.

    Each request is for one track, because a reply omits unknown tracks and identifies tracks only by link.
    """

    name = "reccobeats"
    page = "https://reccobeats.com/docs/apis/get-audio-features"
    fields = {"audio_features": "track"}
    hosts = (Host("api_url", (Rate(2, 1),)),)
    needs = ("spotify",)
    terms = Terms(
        train_allowed=None,
        licence="free of charge; the permitted use of the numbers is not stated",
        page="https://reccobeats.com/docs/documentation/introduction",
    )

    class Params(SourceParams):
        """Parameters, with the base URL without `/v1`."""

        api_url: str = "https://api.reccobeats.com"

    def collect(self, request: Request, http: Http) -> Answer:
        reply = http.get(f"{self.params.api_url}/v1/audio-features", {"ids": request.ids["spotify"]})
        if reply.status == 404:
            return Absent(payload=reply.content)
        content = convert_rows(reply.json(), dict[str, object], "content", service="ReccoBeats")
        if not content:
            return Absent(payload=reply.content)
        row = next((row for row in content if _is_same(row, request.ids)), None)
        if row is None:
            raise Transient("ReccoBeats returned a row for another track")
        numbers, missing = audio_features_of(row)
        return Absent(missing, reply.content) if missing else Found({"audio_features": numbers}, payload=reply.content)


def _is_same(row: Mapping[str, object], ids: Mapping[str, str]) -> bool:
    """Return whether a row describes the track or another release of the same recording."""
    same = str(row.get("href") or "").rstrip("/").rsplit("/", 1)[-1] == ids["spotify"]
    return same or ("isrc" in ids and str(row.get("isrc") or "").upper() == ids["isrc"].upper())

"""The eleven audio features of a track from ReccoBeats, by Spotify id and without a key.

https://reccobeats.com/docs/apis/get-audio-features. Its rates are not published; 429 comes with `Retry-After`. How its
numbers are computed is not published either: they have Spotify's names, and are stored under this source's.
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
    """Audio features from ReccoBeats, by Spotify id.

    Each request is for one track: a reply identifies tracks by link and leaves out those that ReccoBeats does not know.
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
        """api_url: without `/v1`."""

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
            raise Transient("ReccoBeats answers with another track")
        numbers, missing = audio_features_of(row)
        return Absent(missing, reply.content) if missing else Found({"audio_features": numbers}, payload=reply.content)


def _is_same(row: Mapping[str, object], ids: Mapping[str, str]) -> bool:
    """Whether a row is of the track, or of another release of the same recording."""
    same = str(row.get("href") or "").rstrip("/").rsplit("/", 1)[-1] == ids["spotify"]
    return same or ("isrc" in ids and str(row.get("isrc") or "").upper() == ids["isrc"].upper())

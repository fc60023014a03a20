"""Ids, covers and, for old apps, audio features from the Spotify Web API with spotipy.

https://developer.spotify.com/documentation/web-api. Only endpoints for single tracks are used, because apps in
development mode have no access to other endpoints since February 2026. A search returns at most ten results. The
developer policy (III.14) forbids training models on Spotify content.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from pydantic import Field

from collectors.engine.json_conversion import Shape, convert, convert_rows
from collectors.matching import Candidate, nearest
from collectors.source import (
    Absent,
    Answer,
    Blocked,
    Host,
    Http,
    Other,
    Rate,
    Request,
    Source,
    SourceParams,
    Terms,
    Transient,
)
from collectors.sources.clients.spotify_api import ID, SECRET, SpotifyApi
from collectors.sources.matched_answer import answer_by_score, audio_features_of, fetch_cover, quoted_query

NO_FEATURES = (
    "Spotify does not return audio features to apps created after 2024-11-27 (HTTP 403): collect audio_features from "
    "reccobeats, from deezer previews or from audio files, or collect acoustic_lowlevel from acousticbrainz"
)
MAX_RESULTS = 5


class Image(msgspec.Struct):
    url: str
    width: int | None = None


class Linked(msgspec.Struct):
    id: str


class Artist(msgspec.Struct):
    id: str
    name: str


class Album(msgspec.Struct):
    id: str | None
    name: str
    artists: list[Artist] = []
    images: list[Image] = []


class Track(msgspec.Struct):
    """Track; `linked_from` is the requested track if Spotify returns another release."""

    id: str
    name: str
    duration_ms: int
    artists: list[Artist]
    album: Album | None = None
    external_ids: dict[str, str] = {}
    linked_from: Linked | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(artist.name for artist in self.artists)


class Spotify(Source):
    """Ids, album covers and audio features from the Spotify Web API.

    The source is never used by default. Its content may not be used to train models, and training raises without
    `permission`.
    """

    name = "spotify"
    page = "https://developer.spotify.com/documentation/web-api"
    fields = {
        "spotify": "track",
        "isrc": "track",
        "audio_features": "track",
        "cover": "album",
    }
    hosts = (
        # counted over 30 s; the number is not published
        Host("api_url", (Rate(90, 30),), requests={"spotify": 2, "isrc": 2, "audio_features": 3, "cover": 1}),
        Host("accounts_url", (Rate(10, 30),), requests=0),  # a token lasts an hour
        Host("images_url", (Rate(20, 1),), requests={"cover": 1}),
    )
    keys = (ID, SECRET)
    uses = ("spotify", "isrc")
    terms = Terms(
        train_allowed=False,
        licence="Spotify Developer Terms and Developer Policy",
        page="https://developer.spotify.com/policy",
        attribution="Content from Spotify, with its logo and a link back to the track or album",
    )

    class Params(SourceParams):
        """Parameters, with the country code of the `market` and the minimum width of covers in pixels."""

        api_url: str = "https://api.spotify.com"
        accounts_url: str = "https://accounts.spotify.com"
        images_url: str = "https://i.scdn.co"
        market: str | None = Field(None, pattern=r"^[A-Z]{2}$")
        cover: int = Field(300, ge=1)

    def __init__(self, params: SourceParams | None = None, *, keys: Mapping[str, str] | None = None) -> None:
        super().__init__(params, keys=keys)
        self._api = SpotifyApi(self.secrets, api_url=self.params.api_url, accounts_url=self.params.accounts_url)

    def collect(self, request: Request, http: Http) -> Answer:
        if request.entity == "album":
            return self._cover(request, http)
        match = self._track(request, http)
        if isinstance(match, Absent):
            return match
        track, score, payload = match
        note = f"found {track.name!r} by {', '.join(track.names)}"
        if "audio_features" in request.fields:
            return self._audio_features(track, score, note, http)
        isrc = track.external_ids.get("isrc")
        values = {"spotify": request.ids.get("spotify", track.id)} | ({"isrc": isrc} if isrc else {})
        requested = {name: value for name, value in values.items() if name in request.fields}
        others = tuple(
            Other("track", request.id, name, value) for name, value in values.items() if name not in requested
        )
        return answer_by_score(score, requested, payload, note=note, others=others)

    def _track(self, request: Request, http: Http) -> tuple[Track, float, bytes] | Absent:
        """Return the track, the match score and the payload, by id, ISRC or name."""
        if key := request.ids.get("spotify"):
            answer, payload = self._api.call(http, lambda client: client.track(key, market=self.params.market))
            if answer is None:
                return Absent("unknown id")
            track = convert(answer, Track, "Spotify")
            if key not in (track.id, track.linked_from and track.linked_from.id):
                raise Transient(f"Spotify returned track {track.id!r} instead of {key!r}")
            return track, 1.0, payload
        if isrc := request.ids.get("isrc"):
            tracks, payload = self._search(http, f"isrc:{isrc.upper()}", Track)
            if same := [track for track in tracks if track.external_ids.get("isrc", isrc).upper() == isrc.upper()]:
                return same[0], 1.0, payload
        if not request.title or not request.artists:
            return Absent("no name to search by")
        tracks, payload = self._search(http, quoted_query(track=request.title, artist=request.artists[0]), Track)
        match = nearest(request, tracks, lambda track: Candidate(track.name, track.names, track.duration_ms / 1000))
        return (*match, payload) if match else Absent(payload=payload)

    def _audio_features(self, track: Track, score: float, note: str, http: Http) -> Answer:
        try:
            answer, payload = self._api.call(http, lambda client: client.audio_features([track.id]))
        except Blocked as refusal:
            raise Blocked(NO_FEATURES, status=403, for_good=True) if refusal.status == 403 else refusal from None
        (row,) = convert(answer, tuple[dict[str, object] | None], "Spotify")
        if row is None:
            return Absent(payload=payload)
        numbers, missing = audio_features_of(row)
        return (
            Absent(missing, payload)
            if missing
            else answer_by_score(score, {"audio_features": numbers}, payload, note=note)
        )

    def _cover(self, request: Request, http: Http) -> Answer:
        album: Album | None = None
        score = 1.0
        if key := request.ids.get("spotify"):
            answer, _ = self._api.call(http, lambda client: client.album(key))
            album = convert(answer, Album, "Spotify") if answer else None
        elif request.title and request.artists:
            albums, _ = self._search(http, quoted_query(album=request.title, artist=request.artists[0]), Album)
            if found := nearest(
                request, albums, lambda one: Candidate(one.name, tuple(artist.name for artist in one.artists))
            ):
                album, score = found
        if not album or not album.images:
            return Absent()
        images = sorted(album.images, key=lambda image: image.width or 0)
        url = next((image.url for image in images if (image.width or 0) >= self.params.cover), images[-1].url)
        return answer_by_score(score, fetch_cover(http, url), url, note=f"found {album.name!r}")

    def _search(self, http: Http, query: str, shape: type[Shape]) -> tuple[list[Shape], bytes]:
        kind, market = shape.__name__.lower(), self.params.market
        answer, payload = self._api.call(
            http, lambda client: client.search(query, limit=MAX_RESULTS, type=kind, market=market)
        )
        if answer is None:
            return [], b""
        return convert_rows(answer, shape, f"{kind}s", "items", service="Spotify"), payload

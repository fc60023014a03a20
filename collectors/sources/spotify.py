"""Spotify's Web API by spotipy: ids, covers, and audio features for the few apps that still may.

https://developer.spotify.com/documentation/web-api. Single-track endpoints alone: since February 2026 apps in development mode have no
others, and a search gives ten at most. The developer policy (III.14) forbids to train any model on Spotify's content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from pydantic import Field

from collectors.engine.response_shapes import Shape, rows, told
from collectors.matching import Candidate, nearest
from collectors.source import (
    Absent,
    Answer,
    Blocked,
    Entity,
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
from collectors.sources.matched_answer import eleven, judged, picture

NO_FEATURES = (
    "Spotify gives audio features to no app made after 2024-11-27 (HTTP 403): collect audio_features from reccobeats, deezer's previews "
    "or audio files, or acoustic_lowlevel from acousticbrainz"
)
MOST_FOUND = 5


class SpotifyParams(SourceParams):
    """market: a country (`DE`) whose catalogue is asked. cover: pixels a side that the picture should at least have."""

    api_url: str = "https://api.spotify.com"
    accounts_url: str = "https://accounts.spotify.com"
    images_url: str = "https://i.scdn.co"
    market: str | None = Field(None, pattern=r"^[A-Z]{2}$")
    cover: int = Field(300, ge=1)


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
    """linked_from: what was asked for, where another release of it is given."""

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
    """Ids, album covers and audio features from Spotify's Web API.

    It is never used by default. Its content may not be used to train models, and training refuses it without `permission`.
    """

    name = "spotify"
    page = "https://developer.spotify.com/documentation/web-api"
    fields: ClassVar[Mapping[str, Entity]] = {
        "spotify": "track",
        "isrc": "track",
        "audio_features": "track",
        "cover": "album",
    }
    hosts = (
        # counted over 30 s; how many is not published
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
    Params = SpotifyParams

    def __init__(self, params: SourceParams | None = None, *, keys: Mapping[str, str] | None = None) -> None:
        super().__init__(params, keys=keys)
        self._api = SpotifyApi(self.secrets, api_url=self.params.api_url, accounts_url=self.params.accounts_url)

    def collect(self, request: Request, http: Http) -> Answer:
        if request.entity == "album":
            return self._cover(request, http)
        found = self._track(request, http)
        if isinstance(found, Absent):
            return found
        track, score, payload = found
        note = f"found {track.name!r} by {', '.join(track.names)}"
        if "audio_features" in request.fields:
            return self._audio_features(track, score, note, http)
        isrc = track.external_ids.get("isrc")
        values = {"spotify": request.ids.get("spotify", track.id)} | ({"isrc": isrc} if isrc else {})
        asked = {name: value for name, value in values.items() if name in request.fields}
        along = tuple(Other("track", request.id, name, value) for name, value in values.items() if name not in asked)
        return judged(score, asked, payload, note=note, others=along)

    def _track(self, request: Request, http: Http) -> tuple[Track, float, bytes] | Absent:
        """The track, how well it fits, and the payload: by id, then by ISRC, then by name."""
        if held := request.ids.get("spotify"):
            answer, payload = self._api.ask(http, lambda client: client.track(held, market=self.params.market))
            if answer is None:
                return Absent("no such id")
            track = told(answer, Track, "Spotify")
            if held not in (track.id, track.linked_from and track.linked_from.id):
                raise Transient("Spotify answers with another track than was asked for")
            return track, 1.0, payload
        if isrc := request.ids.get("isrc"):
            tracks, payload = self._search(http, f"isrc:{isrc.upper()}", Track)
            if same := [track for track in tracks if track.external_ids.get("isrc", isrc).upper() == isrc.upper()]:
                return same[0], 1.0, payload
        if not request.title or not request.artists:
            return Absent("no name to search by")
        tracks, payload = self._search(http, _named(track=request.title, artist=request.artists[0]), Track)
        found = nearest(request, tracks, lambda track: Candidate(track.name, track.names, track.duration_ms / 1000))
        return (*found, payload) if found else Absent(payload=payload)

    def _audio_features(self, track: Track, score: float, note: str, http: Http) -> Answer:
        try:
            answer, payload = self._api.ask(http, lambda client: client.audio_features([track.id]))
        except Blocked as refusal:
            raise Blocked(NO_FEATURES, status=403, for_good=True) if refusal.status == 403 else refusal from None
        (row,) = told(answer, tuple[dict[str, Any] | None], "Spotify")
        if row is None:
            return Absent(payload=payload)
        numbers, missing = eleven(row)
        return Absent(missing, payload) if missing else judged(score, {"audio_features": numbers}, payload, note=note)

    def _cover(self, request: Request, http: Http) -> Answer:
        album: Album | None = None
        score = 1.0
        if held := request.ids.get("spotify"):
            answer, _ = self._api.ask(http, lambda client: client.album(held))
            album = told(answer, Album, "Spotify") if answer else None
        elif request.title and request.artists:
            albums, _ = self._search(http, _named(album=request.title, artist=request.artists[0]), Album)
            if found := nearest(
                request, albums, lambda one: Candidate(one.name, tuple(artist.name for artist in one.artists))
            ):
                album, score = found
        if not album or not album.images:
            return Absent()
        images = sorted(album.images, key=lambda image: image.width or 0)
        url = next((image.url for image in images if (image.width or 0) >= self.params.cover), images[-1].url)
        return judged(score, picture(http, url), url, note=f"found {album.name!r}")

    def _search(self, http: Http, query: str, shape: type[Shape]) -> tuple[list[Shape], bytes]:
        kind, market = shape.__name__.lower(), self.params.market
        answer, payload = self._api.ask(
            http, lambda client: client.search(query, limit=MOST_FOUND, type=kind, market=market)
        )
        return ([], b"") if answer is None else (rows(answer, shape, f"{kind}s", "items", what="Spotify"), payload)


def _named(**words: str) -> str:
    """A query of quoted words, without what would end one."""
    return " ".join(f'{name}:"{text.replace(chr(34), " ")}"' for name, text in words.items())

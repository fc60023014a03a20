"""Lyrics from LRCLIB, an open collection of lyrics that its users give.

Page: https://lrclib.net/docs. Rate: its documentation sets none; ten requests a second are ours. Licence: none is stated, and lyrics
belong to their writers and publishers: the recipe has to say that training is allowed.
A song marked instrumental is absent with that note: it is never an empty text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from collectors import matching
from collectors.engine.response_shapes import shaped
from collectors.matching import Candidate
from collectors.source import (
    Absent,
    Ambiguous,
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

_TIMES = re.compile(r"^[^\S\n]*(?:\[[\d:.]+\][^\S\n]*)+|<[\d:.]+>[^\S\n]*", re.MULTILINE)
"""When a line, or a word of it, is sung."""
_TAG = re.compile(r"^\[[a-z]+:[^\]\n]*\]\s*$", re.MULTILINE)


class Song(msgspec.Struct, rename="camel"):
    """duration: in seconds."""

    track_name: str
    artist_name: str | None = None
    duration: float | None = None
    instrumental: bool = False
    plain_lyrics: str | None = None
    synced_lyrics: str | None = None

    @property
    def words(self) -> str:
        """The lyrics; empty for an instrumental, whatever stands beside the mark."""
        if self.instrumental:
            return ""
        timed = _TIMES.sub("", _TAG.sub("", self.synced_lyrics or ""))
        return (self.plain_lyrics or "").strip() or timed.strip()


class LrclibParams(SourceParams):
    url: str = "https://lrclib.net"


class Lrclib(Source):
    """Lyrics from LRCLIB, an open collection.

    `lyrics` is plain text with an empty line between verses. Where LRCLIB has only timed lyrics, the times are removed.
    """

    name: ClassVar[str] = "lrclib"
    page: ClassVar[str] = "https://lrclib.net/docs"
    fields: ClassVar[Mapping[str, Entity]] = {"lyrics": "track"}
    terms: ClassVar[Terms] = Terms(None, "not stated", "https://lrclib.net/docs", attribution="LRCLIB")
    hosts: ClassVar[tuple[Host, ...]] = (Host("url", (Rate(10, 1.0),), concurrency=4, requests=2),)
    Params: ClassVar[type[SourceParams]] = LrclibParams

    def collect(self, request: Request, http: Http) -> Answer:
        if not request.title or not request.artists:
            return Absent("no title and artist to ask for")
        asked = {"track_name": request.title, "artist_name": request.artists[0]}
        if request.album and request.duration_s:
            signature = asked | {"album_name": request.album, "duration": round(request.duration_s)}
            reply = http.get(f"{self.params.url}/api/get", signature)
            if reply.status != 404:
                answer = chosen(request, [shaped(reply, Song, what=self.name)], reply.content)
                if not isinstance(answer, Absent) or answer.note:
                    return answer
        reply = http.get(f"{self.params.url}/api/search", asked)
        if reply.status == 404:
            raise Transient("lrclib has no search under its address", status=404)
        return chosen(request, shaped(reply, list[Song], what=self.name), reply.content)


def chosen(request: Request, songs: Sequence[Song], payload: bytes) -> Answer:
    """The best of the songs; of equal ones, one with words before one without."""
    scores = [matching.score(request, _candidate(song)) for song in songs]
    ranked = sorted((scores[place], bool(song.words), -place) for place, song in enumerate(songs))
    if not ranked or matching.verdict(ranked[-1][0]) == "absent":
        return Absent(payload=payload)
    score, has_words, place = ranked[-1]
    song = songs[-place]
    if matching.verdict(score) == "ambiguous":
        return Ambiguous(
            score, {"lyrics": song.words} if has_words else {}, f"{song.artist_name} - {song.track_name}", payload
        )
    if not has_words:
        return Absent("instrumental" if song.instrumental else "listed without lyrics", payload)
    return Found({"lyrics": song.words}, score, payload)


def _candidate(song: Song) -> Candidate:
    return Candidate(song.track_name, (song.artist_name,) if song.artist_name else (), song.duration)

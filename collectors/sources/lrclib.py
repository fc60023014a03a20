"""Lyrics from LRCLIB, an open collection of user-contributed lyrics.

Page: https://lrclib.net/docs. Rate: ten requests per second, because the documentation sets no limit. Licence: not
stated. Lyrics belong to their writers and publishers, so a recipe must allow training. An instrumental song is absent
with a note.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from collectors import matching
from collectors.engine.json_conversion import decode
from collectors.source import (
    Absent,
    Answer,
    Host,
    Http,
    Rate,
    Request,
    Source,
    SourceParams,
    Terms,
    Transient,
)
from collectors.sources.matched_answer import answer_by_score

_TIMES = re.compile(r"^[^\S\n]*(?:\[[\d:.]+\][^\S\n]*)+|<[\d:.]+>[^\S\n]*", re.MULTILINE)
"""The time of a line or word."""
_TAG = re.compile(r"^\[[a-z]+:[^\]\n]*\]\s*$", re.MULTILINE)


class Song(msgspec.Struct, rename="camel"):
    """Song with a duration in seconds."""

    track_name: str
    artist_name: str | None = None
    duration: float | None = None
    instrumental: bool = False
    plain_lyrics: str | None = None
    synced_lyrics: str | None = None

    @property
    def words(self) -> str:
        """Return the lyrics, or an empty text for an instrumental."""
        if self.instrumental:
            return ""
        return (self.plain_lyrics or "").strip() or _TIMES.sub("", _TAG.sub("", self.synced_lyrics or "")).strip()


class Lrclib(Source):
    """Lyrics from LRCLIB, an open collection.

    `lyrics` is plain text with an empty line between verses. Timestamps are removed if LRCLIB has only timed lyrics.
    """

    name = "lrclib"
    page = "https://lrclib.net/docs"
    fields = {"lyrics": "track"}
    terms = Terms(None, "not stated", "https://lrclib.net/docs", attribution="LRCLIB")
    hosts = (Host("url", (Rate(10, 1.0),), concurrency=4, requests=2),)

    class Params(SourceParams):
        url: str = "https://lrclib.net"

    def collect(self, request: Request, http: Http) -> Answer:
        if not request.title or not request.artists:
            return Absent("no title and artist to search by")
        names = {"track_name": request.title, "artist_name": request.artists[0]}
        if request.album and request.duration_s:
            exact = {"album_name": request.album, "duration": str(round(request.duration_s))}
            reply = http.get(f"{self.params.url}/api/get", names | exact)
            if reply.status != 404:
                answer = best_answer(request, [decode(reply, Song, service=self.name)], reply.content)
                if not isinstance(answer, Absent) or answer.note:
                    return answer
        reply = http.get(f"{self.params.url}/api/search", names)
        if reply.status == 404:
            raise Transient(f"lrclib has no search at {self.params.url}/api/search: correct `url`", status=404)
        return best_answer(request, decode(reply, list[Song], service=self.name), reply.content)


def best_answer(request: Request, songs: Sequence[Song], payload: bytes) -> Answer:
    """Return the answer from the best song, with ties broken in favour of songs with lyrics."""
    scored = [
        (
            matching.score(request, matching.Candidate(song.track_name, (song.artist_name or "",), song.duration)),
            bool(song.words),
            song,
        )
        for song in songs[: matching.MAX_CANDIDATES]
    ]
    score, has_words, song = max(scored, key=lambda row: row[:2], default=(0.0, False, Song("")))
    if matching.verdict(score) == "found" and not has_words:
        return Absent("instrumental" if song.instrumental else "listed without lyrics", payload)
    note = f"{song.artist_name} - {song.track_name}"
    return answer_by_score(score, {"lyrics": song.words} if has_words else {}, payload, note=note)

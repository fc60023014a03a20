"""Lyrics and song art from Genius with lyricsgenius.

https://docs.genius.com documents the search. The API does not return lyrics, so lyricsgenius reads the song page.
Genius shows captchas to many servers, so a page without lyrics for a song with lyrics counts as blocked at any status.
A song is an instrumental only if the API says so.
"""

from __future__ import annotations

import logging
import re

import msgspec
import requests
from lyricsgenius import Genius as Client

from collectors.engine.json_conversion import Named, convert_rows
from collectors.engine.requests_session import RequestsSession
from collectors.engine.response_bodies import is_block_page
from collectors.matching import Candidate, nearest, verdict
from collectors.source import (
    Absent,
    Ambiguous,
    Answer,
    Blocked,
    Host,
    Http,
    Rate,
    Request,
    Source,
    SourceParams,
    Terms,
    Transient,
    Trouble,
)
from collectors.sources.matched_answer import answer_by_score, fetch_cover
from toolkit.errors import InputError

TOKEN = "GENIUS_ACCESS_TOKEN"  # nosec B105 # the name of a variable
MAX_PAGE, MAX_TAGS, MAX_CONTAINERS = 1_000_000, 50_000, 200
"""Characters and tags of a page, and parts of its lyrics; usually 300,000, some thousands and a dozen."""
DECLARATION = re.compile(r"<[!?][^<>]*>")
UNCLOSED = re.compile(r"<(?![^<>]*>)")
NO_ART = ("default_cover_image", "default_cover_art", "default_avatar")
"""Parts of the URLs of placeholder images."""

logging.getLogger("lyricsgenius").addHandler(logging.NullHandler())


class Song(msgspec.Struct):
    title: str
    primary_artist: Named
    url: str | None = None
    lyrics_state: str | None = None
    instrumental: bool = False
    song_art_image_url: str | None = None


class Hit(msgspec.Struct):
    result: Song


class Session(RequestsSession):
    """Session whose pages the parser of lyricsgenius reads in a time that grows with their length."""

    def send(self, request: requests.PreparedRequest, **more: object) -> requests.Response:
        response = super().send(request, **more)
        if self.expect(request.url or "") == "text":
            response._content = parsable(response.text).encode("utf-8", "replace")
        return response


def parsable(page: str) -> str:
    """Return a page without comments and with unclosed brackets as text.

    The parser would read to the end of the page at each unclosed bracket.
    Raises `Trouble` for a page that is too large for a song.
    """
    if len(page) > MAX_PAGE or page.count("<") > MAX_TAGS or page.count("data-lyrics-container") > MAX_CONTAINERS:
        raise Trouble(
            f"Genius returned a page of more than {MAX_PAGE:,} characters, {MAX_TAGS:,} tags or {MAX_CONTAINERS} parts"
        )
    return DECLARATION.sub("", UNCLOSED.sub("&lt;", page))


class Genius(Source):
    """Lyrics and song art from Genius.

    Lyrics are copyrighted and are provided without a licence.
    """

    name = "genius"
    page = "https://docs.genius.com"
    fields = {"lyrics": "track", "cover": "track"}
    hosts = (
        Host("api_url", (Rate(3, 1),)),
        Host("web_url", (Rate(1, 1),), concurrency=1, requests={"lyrics": 1}),
        Host("images_url", (Rate(5, 1),), requests={"cover": 1}),
    )
    keys = (TOKEN,)
    terms = Terms(
        train_allowed=False,
        licence="lyrics under their publishers' copyright; Genius API terms of service",
        page="https://genius.com/static/terms",
        attribution="Lyrics from Genius, with a link to the song's page",
    )

    class Params(SourceParams):
        api_url: str = "https://api.genius.com"
        web_url: str = "https://genius.com"
        images_url: str = "https://images.genius.com"

    def collect(self, request: Request, http: Http) -> Answer:
        if not request.title or not request.artists:
            return Absent("no name to search by")
        session = Session(http, lambda url: "json" if url.startswith(self.params.api_url) else "text")
        client = self._client(session)
        match = self._song(request, client)
        payload = session.last.content if session.last else b""
        if match is None:
            return Absent(payload=payload)
        song, score = match
        if request.fields == ("cover",):
            return self._cover(song, score, http)
        return self._lyrics(song, score, client, session, payload)

    def _client(self, session: RequestsSession) -> Client:
        client = Client(self.secrets[TOKEN], sleep_time=0, retries=0)
        client.API_ROOT, client.WEB_ROOT = f"{self.params.api_url}/", f"{self.params.web_url}/"
        client._session = session  # it has no parameter for one
        return client

    def _song(self, request: Request, client: Client) -> tuple[Song, float] | None:
        """Return the best search result and its match score."""
        try:
            answer = client.search_songs(f"{request.title} {request.artists[0]}")
        except Blocked as refusal:
            if refusal.status == 401:
                raise InputError(
                    f"{TOKEN} was rejected by Genius: create a client access token at https://genius.com/api-clients"
                ) from None
            raise
        except (AssertionError, AttributeError, ValueError):  # an unknown status, another JSON, or a body without JSON
            raise Transient("Genius returned search results in an undocumented form") from None
        songs = [hit.result for hit in convert_rows(answer, Hit, "hits", service="Genius")]
        return nearest(request, songs, lambda song: Candidate(song.title, (song.primary_artist.name,)))

    def _lyrics(self, song: Song, score: float, client: Client, session: Session, payload: bytes) -> Answer:
        note = f"found {song.title!r} by {song.primary_artist.name!r}"
        if song.instrumental:
            certain = verdict(score) == "found"
            return Absent("instrumental", payload) if certain else Ambiguous(score, note=note, payload=payload)
        if song.lyrics_state != "complete":
            return Absent(f"lyrics are {song.lyrics_state or 'unknown'}", payload)
        text = client.lyrics(song_url=(song.url or "").replace("https://genius.com/", "").lstrip("/") or "missing")
        page = session.last
        if page is None or page.status in (404, 410):
            return Absent("the song's page is gone", payload)
        if not text or not text.strip():
            kind = "a block page" if is_block_page(page.text) else "a page without lyrics"
            raise Blocked(f"Genius returned {kind} for a song with lyrics", status=page.status)
        return answer_by_score(score, {"lyrics": text.strip()}, page.content, note=note)

    def _cover(self, song: Song, score: float, http: Http) -> Answer:
        url = song.song_art_image_url or ""
        if not url or any(name in url for name in NO_ART):
            return Absent("no art", url)
        return answer_by_score(score, fetch_cover(http, url), url)

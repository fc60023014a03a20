"""Spotify's Web API by spotipy, with one token for all threads: asked for when there is none, and anew when Spotify refuses it.

spotipy's own retries are off: they sleep for as long as `Retry-After` says, and `Http` and the engine do that better.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import spotipy
from spotipy.cache_handler import MemoryCacheHandler
from spotipy.exceptions import SpotifyException
from spotipy.oauth2 import SpotifyClientCredentials, SpotifyOAuth

from collectors.engine.requests_session import Through
from collectors.source import Blocked, Http, Transient
from toolkit.errors import InputError

ID, SECRET, REFRESH = "SPOTIFY_CLIENT_ID", "SPOTIFY_CLIENT_SECRET", "SPOTIFY_REFRESH_TOKEN"
SCOPE = "playlist-read-private playlist-read-collaborative"

# its debug messages hold tokens, and a 404 is no error of ours
logging.getLogger("spotipy").setLevel(logging.WARNING)
logging.getLogger("spotipy").addHandler(logging.NullHandler())


class SpotifyApi:
    """api_url, accounts_url: without `/v1`. user: as the user who gave the refresh token, for playlists."""

    def __init__(self, secrets: Mapping[str, str], *, api_url: str, accounts_url: str, user: bool = False) -> None:
        if user and REFRESH not in secrets:
            raise InputError(
                f"{REFRESH} is not set: a user's own playlists need a refresh token with the scope {SCOPE!r}"
            )
        self.secrets, self.user = dict(secrets), user
        self.prefix, self.token_url = f"{api_url.rstrip('/')}/v1/", f"{accounts_url.rstrip('/')}/api/token"
        self._tokens = MemoryCacheHandler()
        self._lock = threading.Lock()

    def ask(self, http: Http, question: Callable[[spotipy.Spotify], Any]) -> tuple[Any, bytes]:
        """The answer and the payload; None for a 404.

        Raises `Transient`, `Blocked`, `RateLimited`, and `InputError` for keys that Spotify refuses.
        """
        try:
            return self._asked(http, question)
        except Blocked as refusal:
            if refusal.status != 401:
                raise
        return self._asked(http, question)

    def pages(self, http: Http, question: Callable[[spotipy.Spotify, int], Any]) -> Iterator[dict[str, Any]]:
        """Items of all pages. question(client, offset) gives one. Its `next` is not followed: a token goes to no address that came in."""
        place, total = 0, 1
        while place < total:
            page, _ = self.ask(http, partial(_at, question, place))
            if page is None or not isinstance(page.get("items"), list):
                raise Transient("a page of Spotify's list holds no items")
            yield from page["items"]
            place, total = place + max(1, len(page["items"])), int(page.get("total") or 0)

    def _asked(self, http: Http, question: Callable[[spotipy.Spotify], Any]) -> tuple[Any, bytes]:
        session = Through(http)
        token = self._token(session)
        client = spotipy.Spotify(auth=token, requests_session=session, retries=0, status_retries=0)
        client.prefix = self.prefix
        try:
            answer = question(client)
        except SpotifyException as error:
            if error.http_status in (400, 404):
                return None, b""
            raise Transient(f"Spotify: HTTP {error.http_status}", status=error.http_status) from None
        except Blocked as refusal:
            if refusal.status == 401:
                self._forget(token)
            raise
        if answer is None:
            raise Transient("Spotify's answer is not whole JSON")
        return answer, session.last.content if session.last else b""

    def _token(self, session: Through) -> str:
        """The token there is, or a new one: one thread asks, the others wait for it."""
        with self._lock:
            held = self._tokens.get_cached_token()
            if not held or SpotifyClientCredentials.is_token_expired(held):
                held = self._new(session)
                self._tokens.save_token_to_cache(held)
            return str(held["access_token"])

    def _new(self, session: Through) -> dict[str, Any]:
        given = {"client_id": self.secrets[ID], "client_secret": self.secrets[SECRET], "requests_session": session}
        own = MemoryCacheHandler()
        try:
            if self.user:
                grant = SpotifyOAuth(
                    **given, redirect_uri="http://127.0.0.1", scope=SCOPE, cache_handler=own, open_browser=False
                )
                grant.OAUTH_TOKEN_URL = self.token_url
                return dict(grant.refresh_access_token(self.secrets[REFRESH]))
            app = SpotifyClientCredentials(**given, cache_handler=own)
            app.OAUTH_TOKEN_URL = self.token_url
            app.get_access_token(as_dict=False, check_cache=False)
            return dict(own.get_cached_token())
        except (Transient, Blocked) as error:
            if error.status in (400, 401):
                names = f"{ID}, {SECRET} and {REFRESH} are" if self.user else f"{ID} and {SECRET} are"
                raise InputError(
                    f"{names} refused by Spotify: look them up at https://developer.spotify.com/dashboard"
                ) from None
            raise
        except (KeyError, TypeError, ValueError):
            raise Transient("Spotify's answer holds no token") from None

    def _forget(self, token: str) -> None:
        with self._lock:
            held = self._tokens.get_cached_token()
            if held and held["access_token"] == token:
                self._tokens.save_token_to_cache(None)


def _at(question: Callable[[spotipy.Spotify, int], Any], offset: int, client: spotipy.Spotify) -> Any:
    return question(client, offset)

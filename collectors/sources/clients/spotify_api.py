"""Client for the Spotify Web API with spotipy, whose threads share a token that is renewed on expiry.

Retries by spotipy are disabled, because `Http` and the engine wait and retry.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Concatenate, ParamSpec, TypedDict

import msgspec
import spotipy

from collectors.engine.json_conversion import convert
from collectors.engine.requests_session import RequestsSession
from collectors.source import Blocked, Http, Transient
from toolkit.errors import InputError

ID, SECRET, REFRESH = "SPOTIFY_CLIENT_ID", "SPOTIFY_CLIENT_SECRET", "SPOTIFY_REFRESH_TOKEN"
MAX_ITEMS = 100_000
"""Items of a list that are fetched; a playlist has at most 10,000."""
SCOPE = "playlist-read-private playlist-read-collaborative"

# its debug messages hold tokens, and a 404 is an answer
logging.getLogger("spotipy").setLevel(logging.WARNING)
logging.getLogger("spotipy").addHandler(logging.NullHandler())


Args = ParamSpec("Args")


class Token(TypedDict):
    """Spotify token in the form that spotipy reads; `expires_at` is in seconds since 1970."""

    access_token: str
    expires_at: int


class Page(msgspec.Struct):
    """Page of a list with the total length of the list."""

    items: list[dict[str, object]]
    total: int = 0


class SpotifyApi:
    """Spotify Web API for an app or a user.

    - secrets: keys by the names above.
    - api_url, accounts_url: base URLs, without `/v1`.
    - user: whether to act as the user of the refresh token, for playlists.
    """

    def __init__(self, secrets: Mapping[str, str], *, api_url: str, accounts_url: str, user: bool = False) -> None:
        if user and REFRESH not in secrets:
            raise InputError(
                f"{REFRESH} is required for user playlists: set {REFRESH} to a refresh token with the scope {SCOPE!r}"
            )
        self.secrets, self.user = dict(secrets), user
        self.prefix, self.token_url = f"{api_url.rstrip('/')}/v1/", f"{accounts_url.rstrip('/')}/api/token"
        self._tokens = spotipy.MemoryCacheHandler()
        self._lock = threading.Lock()

    def call(
        self,
        http: Http,
        method: Callable[Concatenate[spotipy.Spotify, Args], object],
        *args: Args.args,
        **kwargs: Args.kwargs,
    ) -> tuple[object, bytes]:
        """Call `method` with a spotipy client and return the decoded answer (None for status 404) and the payload.

        Raises `Transient`, `Blocked`, `RateLimited`, and `InputError` if Spotify rejects the keys.
        """
        try:
            return self._call_once(http, lambda client: method(client, *args, **kwargs))
        except Blocked as refusal:
            if refusal.status != 401:
                raise
        return self._call_once(http, lambda client: method(client, *args, **kwargs))

    def items(self, http: Http, method: Callable[[spotipy.Spotify, int], object]) -> Iterator[dict[str, object]]:
        """Yield the items of all pages; `method` requests a page from a client and an offset.

        The URL `next` in a page is ignored, so that the token is never sent to a URL from an answer.
        """
        offset, total = 0, 1
        while offset < total:
            answer, _ = self.call(http, method, offset)
            page = convert(answer, Page, "Spotify")
            yield from page.items
            # an empty page ends a list that has become shorter since it was counted
            offset, total = offset + len(page.items), min(page.total, MAX_ITEMS) if page.items else 0

    def _call_once(self, http: Http, method: Callable[[spotipy.Spotify], object]) -> tuple[object, bytes]:
        session = RequestsSession(http)
        token = self._token(session)
        client = spotipy.Spotify(auth=token, requests_session=session, retries=0, status_retries=0)
        client.prefix = self.prefix
        try:
            answer = method(client)
        except spotipy.SpotifyException as error:
            if error.http_status in (400, 404):
                return None, b""
            raise Transient(f"Spotify returned HTTP {error.http_status}", status=error.http_status) from None
        except Blocked as refusal:
            if refusal.status == 401:
                self._forget(token)
            raise
        if answer is None:
            raise Transient("Spotify returned invalid JSON")
        return answer, session.last.content if session.last else b""

    def _token(self, session: RequestsSession) -> str:
        """Return the current token or a new token, which one thread requests while others wait."""
        with self._lock:
            token: Token | None = self._tokens.get_cached_token()
            if not token or spotipy.SpotifyClientCredentials.is_token_expired(token):
                token = self._request_token(session)
                self._tokens.save_token_to_cache(token)
            return token["access_token"]

    def _request_token(self, session: RequestsSession) -> Token:
        cache = spotipy.MemoryCacheHandler()
        app = {"client_id": self.secrets[ID], "client_secret": self.secrets[SECRET], "requests_session": session}
        try:
            if self.user:
                grant = spotipy.SpotifyOAuth(
                    **app, redirect_uri="http://127.0.0.1", scope=SCOPE, cache_handler=cache, open_browser=False
                )
                grant.OAUTH_TOKEN_URL = self.token_url
                grant.refresh_access_token(self.secrets[REFRESH])
            else:
                grant = spotipy.SpotifyClientCredentials(**app, cache_handler=cache)
                grant.OAUTH_TOKEN_URL = self.token_url
                grant.get_access_token(as_dict=False, check_cache=False)
            token: Token | None = cache.get_cached_token()
            if token and token["access_token"]:
                return token
        except (Transient, Blocked) as error:
            if error.status in (400, 401):
                names = f"{ID}, {SECRET} and {REFRESH} are" if self.user else f"{ID} and {SECRET} are"
                raise InputError(
                    f"{names} rejected by Spotify: copy the keys from https://developer.spotify.com/dashboard"
                ) from None
            raise
        except (KeyError, TypeError, ValueError):
            pass
        raise Transient("Spotify returned JSON without a token")

    def _forget(self, token: str) -> None:
        with self._lock:
            cached = self._tokens.get_cached_token()
            if cached and cached["access_token"] == token:
                self._tokens.save_token_to_cache(None)

"""How sources reach their hosts: at the hosts' pace, under our name, with every answer bounded and every refusal named."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx

from collectors.engine import response_bodies
from collectors.engine.host_limits import HostLimit
from collectors.engine.hosts import GONE, Offline, Timeouts, check_redirect, host_of, refuse, where
from collectors.engine.requests_session import Through
from collectors.source import Expect, Transient, Trouble

if TYPE_CHECKING:
    import requests

MOST_REDIRECTS = 5
TIMEOUTS = Timeouts()


@dataclass(frozen=True, slots=True)
class WholeReply:
    """An answer that is here to its end."""

    status: int
    content: bytes
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """UTF-8, as every API here says or means; bytes that are none are replaced."""
        return self.content.decode("utf-8-sig", "replace")

    def json(self) -> Any:
        """The decoded body. Raises `Transient` where it is not whole, or no JSON."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            raise Transient(f"{where(self.url)} answers with broken JSON", status=self.status) from None


class Client:
    """`collectors.source.Http` over one pool of connections.

    limit: the limits of a host, `name:port` as URLs have it. agent: the `User-Agent`.
    """

    def __init__(self, limit: Callable[[str], HostLimit], agent: str, *, timeouts: Timeouts = TIMEOUTS) -> None:
        self._limit = limit
        self._timeouts = timeouts
        self.agent = agent
        self._http = httpx.Client(
            headers={"User-Agent": agent, "Accept-Encoding": response_bodies.ACCEPT_ENCODING},
            timeout=httpx.Timeout(timeouts.read, connect=timeouts.connect),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            follow_redirects=False,
        )

    def close(self) -> None:
        self._http.close()

    def get(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        expect: Expect = "json",
        max_bytes: int | None = None,
    ) -> WholeReply:
        asked = {name: value for name, value in (params or {}).items() if value is not None}
        return self._ask(self._http.build_request("GET", url, params=asked or None, headers=headers), expect, max_bytes)

    def post(
        self,
        url: str,
        *,
        data: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        expect: Expect = "json",
        max_bytes: int | None = None,
    ) -> WholeReply:
        return self._ask(
            self._http.build_request("POST", url, data=data, json=json, headers=headers), expect, max_bytes
        )

    @contextmanager
    def slot(self, url: str) -> Iterator[None]:
        with self._limit(host_of(url)).slot():
            yield

    def session(self) -> requests.Session:
        made = Through(self)
        made.headers["User-Agent"] = self.agent
        return made

    def _ask(self, request: httpx.Request, expect: Expect, max_bytes: int | None) -> WholeReply:
        first = str(request.url)
        for _ in range(MOST_REDIRECTS + 1):
            reply, onwards = self._once(request, expect, max_bytes)
            if onwards is None:
                return reply
            request = self._redirected(request, onwards, first)
        raise Transient(f"{where(first)} redirects more than {MOST_REDIRECTS} times")

    def _once(self, request: httpx.Request, expect: Expect, max_bytes: int | None) -> tuple[WholeReply, str | None]:
        """The reply, and where it redirects to."""
        url = str(request.url)
        name = where(url)
        with self.slot(url), _named(name):
            deadline = time.monotonic() + self._timeouts.whole
            response = self._http.send(request, stream=True)
            try:
                if response.is_redirect:
                    return WholeReply(response.status_code, b"", url), response.headers["location"]
                refuse(response.status_code, response.headers, name)
                encoding = response.headers.get("content-encoding", "")
                most = max_bytes or response_bodies.MOST[expect]
                body = response_bodies.read(
                    response.iter_raw(), encoding=encoding, most=most, deadline=deadline, where=name
                )
            finally:
                response.close()
        if response.status_code not in GONE:
            response_bodies.check(body, response.headers, expect=expect, where=name)
        return WholeReply(response.status_code, body, url, response.headers), None

    def _redirected(self, request: httpx.Request, location: str, first: str) -> httpx.Request:
        url = urljoin(str(request.url), location)
        check_redirect(first, url)
        headers = {
            name: value for name, value in request.headers.items() if name.lower() in ("accept", "accept-language")
        }
        if host_of(url) == request.url.netloc.decode() and "authorization" in request.headers:
            headers["Authorization"] = request.headers["authorization"]
        return self._http.build_request("GET", url, headers=headers)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """What the library raises, as a trouble that names the host; its own texts hold whole URLs."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        if _certificate(error):
            raise Trouble(f"{name} cannot be trusted: its certificate is not valid") from None
        raise Offline(f"{name} cannot be reached") from None
    except httpx.TimeoutException:
        raise Transient(f"{name} does not answer in time") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise Transient(f"{name} breaks off: {type(error).__name__}") from None


def _certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False

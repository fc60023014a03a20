"""HTTP client for sources, with rate limits, bounded bodies and `Trouble` for failed requests."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urljoin

import httpx
import requests

from collectors.engine import response_bodies
from collectors.engine.host_limits import HostLimit
from collectors.engine.hosts import GONE, Offline, Timeouts, check_redirect, check_status, host_of, without_query
from collectors.engine.requests_session import RequestsSession
from collectors.source import Expect, QueryValue, Reply, Transient, Trouble

MAX_REDIRECTS = 5
TIMEOUTS = Timeouts()


class Client:
    """HTTP client that implements `collectors.source.Http` with one connection pool.

    - limit: function from host (`name:port`) to the limits.
    - agent: value of the `User-Agent` header.
    """

    def __init__(self, limit: Callable[[str], HostLimit], agent: str, *, timeouts: Timeouts = TIMEOUTS) -> None:
        self.agent, self.limit, self._timeouts = agent, limit, timeouts
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
        params: Mapping[str, QueryValue] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        expect: Expect = "json",
        max_bytes: int | None = None,
    ) -> Reply:
        query = {name: value for name, value in (params or {}).items() if value is not None}
        return self.send(self._http.build_request("GET", url, params=query or None, headers=headers), expect, max_bytes)

    def post(
        self,
        url: str,
        *,
        data: Mapping[str, str] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        expect: Expect = "json",
        max_bytes: int | None = None,
    ) -> Reply:
        request = self._http.build_request("POST", url, data=data, json=json, headers=headers)
        return self.send(request, expect, max_bytes)

    @contextmanager
    def slot(self, url: str) -> Iterator[None]:
        with self.limit(host_of(url)).slot():
            yield

    def session(self) -> requests.Session:
        session = RequestsSession(self)
        session.headers["User-Agent"] = self.agent
        return session

    def send(self, request: httpx.Request, expect: Expect, max_bytes: int | None) -> Reply:
        """Send a request and follow redirects."""
        first = str(request.url)
        for _ in range(MAX_REDIRECTS + 1):
            reply, location = self._send_once(request, expect, max_bytes)
            if location is None:
                return reply
            request = self._redirected(request, location, first)
        raise Transient(f"{without_query(first)} must redirect at most {MAX_REDIRECTS} times")

    def _send_once(self, request: httpx.Request, expect: Expect, max_bytes: int | None) -> tuple[Reply, str | None]:
        """Return the reply and the location of a redirect."""
        url = str(request.url)
        name = without_query(url)
        with self.slot(url), _errors_as_troubles(name):
            deadline = time.monotonic() + self._timeouts.whole
            response = self._http.send(request, stream=True)
            try:
                if response.is_redirect:
                    return Reply(response.status_code, b"", url), response.headers["location"]
                check_status(response.status_code, response.headers, name)
                encoding = response.headers.get("content-encoding", "")
                limit = max_bytes or response_bodies.MAX_BYTES[expect]
                body = response_bodies.read(
                    response.iter_raw(), encoding=encoding, limit=limit, deadline=deadline, name=name
                )
            finally:
                response.close()
        if response.status_code not in GONE:
            response_bodies.check(body, response.headers, expect=expect, name=name)
        return Reply(response.status_code, body, url, response.headers), None

    def _redirected(self, request: httpx.Request, location: str, first: str) -> httpx.Request:
        url = urljoin(str(request.url), location)
        check_redirect(first, url)
        same_host = host_of(url) == request.url.netloc.decode()
        kept = ("accept", "accept-language", *(["authorization"] if same_host else []))
        headers = {name: value for name, value in request.headers.items() if name.lower() in kept}
        return self._http.build_request("GET", url, headers=headers)


@contextmanager
def _errors_as_troubles(name: str) -> Iterator[None]:
    """Convert httpx errors to troubles with the host name, because httpx messages contain whole URLs."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        if _is_certificate_error(error):
            raise Trouble(f"{name} must have a valid certificate: check the URL and the system clock") from None
        raise Offline(f"{name} cannot be reached") from None
    except httpx.TimeoutException:
        raise Transient(f"{name} did not respond in time") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise Transient(f"{name} closed the connection ({type(error).__name__})") from None


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None

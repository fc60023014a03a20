"""HTTP client for sources, with rate limits, bounded bodies and `Trouble` for failed requests."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin

import httpx
import requests

from collectors.engine import checked_network, response_bodies
from collectors.engine.host_limits import HostLimit
from collectors.engine.hosts import GONE, Offline, Timeouts, check_redirect, check_status, host_of, without_query
from collectors.engine.requests_session import RequestsSession
from collectors.engine.servers import Servers
from collectors.keys import Scrubber
from collectors.source import Expect, QueryValue, Reply, SourceParams, Transient, Trouble

MAX_REDIRECTS = 5
TIMEOUTS = Timeouts()


class Client:
    """HTTP client of one source, which implements `collectors.source.Http` with one connection pool.

    - limit: function from host (`name:port`) to the limits.
    - agent: value of the `User-Agent` header. Its contact is sent only to servers that may have it.
    - servers: servers of the source; by default only those that the user trusts.
    - secrets: keys of the source, which are sent only to servers that may have them.
    """

    def __init__(
        self,
        limit: Callable[[str], HostLimit],
        agent: str,
        *,
        servers: Servers | None = None,
        secrets: Iterable[str] = (),
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        self.agent, self.limit, self._timeouts = agent, limit, timeouts
        self._servers = Servers.of((), SourceParams()) if servers is None else servers
        self._secrets = Scrubber(secrets)
        self._http = httpx.Client(
            headers={"User-Agent": agent.partition(" ")[0], "Accept-Encoding": response_bodies.ACCEPT_ENCODING},
            timeout=httpx.Timeout(timeouts.read, connect=timeouts.connect),
            transport=checked_network.Transport(self._servers.may_be_internal),
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
        return self.send(self._request("GET", url, params=query or None, headers=headers), expect, max_bytes)

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
        return self.send(self._request("POST", url, data=data, json=json, headers=headers), expect, max_bytes)

    @contextmanager
    def slot(self, url: str) -> Iterator[None]:
        if self._secrets and not self._servers.are_personal(httpx.URL(url)):
            raise Trouble(f"{host_of(url)} must not get a key of the source")
        with self.waiting(url):
            yield

    @contextmanager
    def waiting(self, url: str) -> Iterator[None]:
        """Wait for the limits of the host."""
        with self.limit(host_of(url)).slot():
            yield

    def session(self) -> requests.Session:
        session = RequestsSession(self)
        session.headers["User-Agent"] = self.agent if self._servers.personal else self.agent.partition(" ")[0]
        return session

    def send(self, request: httpx.Request, expect: Expect, max_bytes: int | None) -> Reply:
        """Send a request and follow redirects."""
        first = str(request.url)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                reply, location = self._send_once(request, expect, max_bytes)
            except Offline as error:
                if self._servers.are_configured(request.url):
                    raise
                # a host that one answer names may not exist: the source and the network are not at fault
                raise Transient(str(error)) from None
            if location is None:
                return reply
            request = self._redirected(request, location, first)
        raise Transient(f"{without_query(first)} must redirect at most {MAX_REDIRECTS} times")

    def _request(self, method: str, url: str, **parts: Any) -> httpx.Request:
        """Return a request without user and password in the URL, which would be sent as a header.

        Raises `Transient` for a URL that is not valid, which an answer may contain.
        """
        host_of(url)
        plain = httpx.URL(url).copy_with(userinfo=b"")
        request = self._http.build_request(method, plain, **parts)
        if self._servers.are_personal(request.url):
            request.headers["User-Agent"] = self.agent
        elif self._secrets:
            self._without_keys(request)
        return request

    def _without_keys(self, request: httpx.Request) -> None:
        """Remove keys from the headers, and raise `Trouble` for a key in the URL or in the body."""
        for name, value in list(request.headers.items()):
            if name == "authorization" or self._secrets.in_text(value):
                del request.headers[name]
        body = request.read().decode("utf-8", "replace")
        if self._secrets.in_text(str(request.url)) or self._secrets.in_text(body):
            raise Trouble(f"{host_of(str(request.url))} must not get a key of the source")

    def _send_once(self, request: httpx.Request, expect: Expect, max_bytes: int | None) -> tuple[Reply, str | None]:
        """Return the reply and the location of a redirect."""
        url = str(request.url)
        name = without_query(url)
        with self.waiting(url), _errors_as_troubles(name), checked_network.within(self._timeouts.whole):
            deadline = time.monotonic() + self._timeouts.whole
            response = self._http.send(request, stream=True)
            self._http.cookies.clear()  # no host needs them, and one could send new ones for ever
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
        try:
            url = urljoin(str(request.url), location)
            check_redirect(first, url)
        except (ValueError, httpx.InvalidURL):
            raise Transient(f"{without_query(first)} redirects to an invalid URL") from None
        same_host = host_of(url) == host_of(str(request.url))
        kept = ("accept", "accept-language", *(["authorization"] if same_host else []))
        headers = {name: value for name, value in request.headers.items() if name.lower() in kept}
        return self._request("GET", url, headers=headers)


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

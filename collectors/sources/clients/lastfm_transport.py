"""httpx transport for pylast, which creates a new httpx client for each request.

Last.fm reports an unknown artist in the body of a status 400, which `Http` does not return. This transport therefore
applies the limits of `Http` itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pylast

from collectors.engine import checked_network, response_bodies
from collectors.engine.hosts import Offline, Timeouts, check_status, retry_after, without_query
from collectors.source import Http, RateLimited, Transient

if TYPE_CHECKING:
    import httpx2 as httpx
else:
    httpx = pylast.httpx  # httpx or its successor, as pylast chose

MAX_BYTES = 4 << 20
"""Of an answer; a long biography has a hundredth of it."""


class Transport(httpx.BaseTransport):
    """Transport for one request of a source.

    - connections: transport that sends requests.
    - url: base URL of the service.
    - last: last body, for data that pylast does not return. The XML has no entity declarations.
    """

    def __init__(self, connections: httpx.BaseTransport, http: Http, url: str) -> None:
        parts = urlsplit(url)
        self.server = (parts.netloc, f"{parts.path.rstrip('/')}/2.0/")
        self.last = b""
        self._scheme, self._http, self._connections = parts.scheme, http, connections
        self._agent = str(http.session().headers["User-Agent"])

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_with(scheme=self._scheme)
        name = without_query(str(url))
        headers = {
            "User-Agent": self._agent,
            "Accept-Encoding": response_bodies.ACCEPT_ENCODING,
            "Host": self.server[0],
        }
        headers |= {name: request.headers[name] for name in ("Content-Type", "Content-Length")}
        sent = httpx.Request(
            request.method, url, headers=headers, content=request.read(), extensions=request.extensions
        )
        # inside the slot: a refusal makes the host's other requests wait too
        with self._http.slot(str(url)):
            status, received, body = self._send(sent, name)
            if status == 429:
                seconds = retry_after(received.get("retry-after"))
                raise RateLimited(f"{name} returned HTTP 429 (too many requests)", retry_after=seconds)
            if b"<lfm" not in body[:500] or not body.rstrip().endswith(b"</lfm>"):
                check_status(status, received, name)
                response_bodies.check(body, received, expect="xml", name=name)
                raise Transient(f"{name} returned a body without Last.fm XML", status=status)
        if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
            raise Transient(f"{name} returned XML with entity declarations, which are not allowed", status=status)
        self.last = body
        # pylast raises its own error for a 5xx, whatever the body reports
        return httpx.Response(status if status >= 500 else 200, content=body, request=request)

    def _send(self, request: httpx.Request, name: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, lower-case headers and the complete body."""
        deadline = time.monotonic() + Timeouts().whole
        with checked_network.within(Timeouts().whole), _errors_as_troubles(name):
            response = self._connections.handle_request(request)
            try:
                headers = {header.lower(): value for header, value in response.headers.items()}
                encoding = headers.get("content-encoding", "")
                stream = response.iter_raw()
                body = response_bodies.read(stream, encoding=encoding, limit=MAX_BYTES, deadline=deadline, name=name)
                return response.status_code, headers, body
            finally:
                response.close()


@contextmanager
def _errors_as_troubles(name: str) -> Iterator[None]:
    try:
        yield
    except httpx.ConnectError:
        raise Offline(f"{name} cannot be reached") from None
    except httpx.HTTPError as error:
        raise Transient(f"{name} closed the connection ({type(error).__name__})") from None

"""How pylast reaches Last.fm: it opens a client a request, which is given this transport instead of one of its own.

`Http` does not hand on the body of a 400, which is where Last.fm says that it does not know an artist, so the same bounds are kept here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pylast

from collectors.engine import response_bodies
from collectors.engine.hosts import Offline, Timeouts, refuse, retry_after, where
from collectors.source import Http, RateLimited, Transient

if TYPE_CHECKING:
    import httpx2 as httpx
else:
    httpx = pylast.httpx  # pylast's own choice: httpx or its successor

MOST = 4 << 20
"""Bytes of an answer; a long biography has a hundredth of it."""


class Transport(httpx.BaseTransport):
    """last: the newest body, for what pylast does not hand on."""

    def __init__(self, connections: Any, http: Http, url: str) -> None:
        parts = urlsplit(url)
        self.server = (parts.netloc, f"{parts.path.rstrip('/')}/2.0/")
        self.last = b""
        self._scheme, self._http, self._connections = parts.scheme, http, connections
        self._agent = str(http.session().headers["User-Agent"])

    def handle_request(self, request: Any) -> Any:
        url = request.url.copy_with(scheme=self._scheme)
        name = where(str(url))
        headers = {
            "User-Agent": self._agent,
            "Accept-Encoding": response_bodies.ACCEPT_ENCODING,
            "Host": self.server[0],
        }
        headers |= {name: request.headers[name] for name in ("Content-Type", "Content-Length")}
        asked = httpx.Request(
            request.method, url, headers=headers, content=request.read(), extensions=request.extensions
        )
        # inside the slot: a refusal makes the host's other requests wait too
        with self._http.slot(str(url)):
            status, kind, body = self._answered(asked, name)
            if status == 429:
                raise RateLimited(
                    f"{name} answers 429: too many requests", retry_after=retry_after(kind.get("retry-after"))
                )
            if b"<lfm" not in body[:500] or not body.rstrip().endswith(b"</lfm>"):
                refuse(status, kind, name)
                response_bodies.check(body, kind, expect="xml", where=name)
                raise Transient(f"{name} answers with something else than its XML", status=status)
        if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
            raise Transient(f"{name} answers with XML that declares entities, which is not read", status=status)
        self.last = body
        # pylast makes an error of its own of a 5xx, whatever the body says
        return httpx.Response(status if status >= 500 else 200, content=body, request=request)

    def _answered(self, asked: Any, name: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, and the whole body."""
        deadline = time.monotonic() + Timeouts().whole
        try:
            response = self._connections.handle_request(asked)
            try:
                kind = {header.lower(): value for header, value in response.headers.items()}
                encoding = kind.get("content-encoding", "")
                return (
                    response.status_code,
                    kind,
                    response_bodies.read(response.stream, encoding=encoding, most=MOST, deadline=deadline, where=name),
                )
            finally:
                response.close()
        except httpx.ConnectError:
            raise Offline(f"{name} cannot be reached") from None
        except httpx.HTTPError as error:
            raise Transient(f"{name} breaks off: {type(error).__name__}") from None

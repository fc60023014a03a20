"""Client libraries that speak HTTP by themselves, made to ask through `Http`: the host's rate, our user agent, bounded bodies and the
troubles of `collectors.source` are then the same for them as for every source. A trouble passes through the library as it was raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from collectors.source import Expect, Http, Reply

SENT_ON = ("Authorization", "Accept", "Accept-Language")
"""Headers of the library's that are kept; the rest is `Http`'s."""


class Through(requests.Session):
    """A session for libraries that take one. last: the newest reply, for what the library does not hand on."""

    def __init__(self, http: Http, expect: Callable[[str], Expect] = lambda url: "json") -> None:
        super().__init__()
        self.trust_env = False  # no netrc, no proxy of the environment's behind our back
        self.last: Reply | None = None
        adapter = _Adapter(self, http, expect)
        self.mount("http://", adapter)
        self.mount("https://", adapter)


class _Adapter(BaseAdapter):
    def __init__(self, session: Through, http: Http, expect: Callable[[str], Expect]) -> None:
        super().__init__()
        self.session, self.http, self.expect = session, http, expect

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        url, body = request.url or "", request.body or ""
        headers = {name: str(request.headers[name]) for name in SENT_ON if name in request.headers}
        if request.method == "GET":
            reply = self.http.get(url, headers=headers, expect=self.expect(url))
        else:
            sent = body.decode() if isinstance(body, bytes) else str(body)
            form = dict(parse_qsl(sent, keep_blank_values=True))
            reply = self.http.post(url, data=form, headers=headers, expect=self.expect(url))
        self.session.last = reply
        return _response(reply, request)

    def close(self) -> None:
        """The connections are `Http`'s."""


def _response(reply: Reply, request: requests.PreparedRequest) -> requests.Response:
    response = requests.Response()
    response.status_code = reply.status
    # the body is decoded already
    kept = {
        name: value
        for name, value in reply.headers.items()
        if name.lower() not in ("content-encoding", "transfer-encoding")
    }
    response.headers = CaseInsensitiveDict(kept)
    response._content = reply.content
    response.encoding = "utf-8"
    response.url, response.request = reply.url, request
    return response

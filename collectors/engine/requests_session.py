"""`requests.Session` for client libraries that sends through `Http`.

Requests then use the host limits, the user agent and the body limits of segue, and raise the troubles of
`collectors.source`, which pass through the library unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

import requests
from requests.structures import CaseInsensitiveDict

from collectors.source import Expect, Http, Reply

KEPT_HEADERS = ("Authorization", "Accept", "Accept-Language")
"""Headers of the library that are sent; the others are set by `Http`."""


class RequestsSession(requests.Session):
    """Session for client libraries that accept a `requests.Session`.

    - expect: function from URL to the expected type of the body.
    - last: last reply, for data that the library does not return.
    """

    def __init__(self, http: Http, expect: Callable[[str], Expect] = lambda url: "json") -> None:
        super().__init__()
        self.trust_env = False  # a login in ~/.netrc is not for a host that a recipe names
        self.http, self.expect = http, expect
        self.last: Reply | None = None

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
        url, body = request.url or "", request.body or ""
        headers = {name: str(request.headers[name]) for name in KEPT_HEADERS if name in request.headers}
        if request.method == "GET":
            self.last = self.http.get(url, headers=headers, expect=self.expect(url))
        else:
            text = body.decode() if isinstance(body, bytes) else str(body)
            form = dict(parse_qsl(text, keep_blank_values=True))
            self.last = self.http.post(url, data=form, headers=headers, expect=self.expect(url))
        return _response(self.last, request)


def _response(reply: Reply, request: requests.PreparedRequest) -> requests.Response:
    response = requests.Response()
    response.status_code = reply.status
    # the body is decoded already
    dropped = ("content-encoding", "transfer-encoding")
    headers = {name: value for name, value in reply.headers.items() if name.lower() not in dropped}
    response.headers = CaseInsensitiveDict(headers)
    response._content = reply.content
    response.encoding = "utf-8"
    response.url, response.request = reply.url, request
    return response

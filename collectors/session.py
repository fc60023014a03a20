"""A `requests` session for client libraries that bring their own requests: the same limits, bounds and refusals as `collectors.http`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from collectors import bodies
from collectors.base import Transient
from collectors.hosts import Offline, Timeouts, check_redirect, refuse, where

if TYPE_CHECKING:
    from collectors.http import Client


def session(client: Client, timeouts: Timeouts) -> requests.Session:
    """Raises `collectors.base`'s troubles out of its requests, which libraries that catch their own errors let pass."""
    made = requests.Session()
    made.headers.update({"User-Agent": client.agent, "Accept-Encoding": bodies.ACCEPT_ENCODING})
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Adapter(client, timeouts))
    return made


class _Adapter(HTTPAdapter):
    def __init__(self, client: Client, timeouts: Timeouts) -> None:
        super().__init__(max_retries=0)
        self._client = client
        self._timeouts = timeouts

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        url = str(request.url)
        name = where(url)
        options |= {"stream": True, "timeout": (self._timeouts.connect, self._timeouts.read)}
        with self._client.slot(url), _named(name):
            deadline = time.monotonic() + self._timeouts.whole
            response = super().send(request, **options)
            try:
                if response.is_redirect:
                    check_redirect(url, requests.compat.urljoin(url, response.headers["location"]))
                else:
                    refuse(response.status_code, response.headers, name)
                chunks = response.raw.stream(1 << 16, decode_content=False)
                encoding = response.headers.get("content-encoding", "")
                body = bodies.read(chunks, encoding=encoding, most=bodies.MOST["text"], deadline=deadline, where=name)
            finally:
                response.close()
        # what `requests` itself sets once it has read a body
        response._content, response._content_consumed = body, True
        return response


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except requests.ConnectTimeout:
        raise Offline(f"{name} cannot be reached") from None
    except (requests.Timeout, urllib3.exceptions.ReadTimeoutError):
        raise Transient(f"{name} does not answer in time") from None
    except requests.ConnectionError as error:
        if "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error):
            raise Offline(f"{name} cannot be reached") from None
        raise Transient(f"{name} breaks off: ConnectionError") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise Transient(f"{name} breaks off: {type(error).__name__}") from None

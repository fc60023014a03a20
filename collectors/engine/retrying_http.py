"""An `Http` to one host that retries by itself, for fetches without a ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import stamina

from collectors.engine import host_limits
from collectors.engine.host_limits import HostLimit
from collectors.engine.hosts import host_of, user_agent
from collectors.engine.http_client import Client, WholeReply
from collectors.source import Expect, Host, Http, QueryValue, Rate, RateLimited, SourceParams, Transient, Trouble
from toolkit.errors import SegueError

ATTEMPTS = 6
MAX_PAUSE = 120.0
"""Longest pause that is waited for, in seconds."""


@contextmanager
def open_http(host: Host, params: SourceParams, contact: str) -> Iterator[Http]:
    """An `Http` to one host, at its pace. Raises `SegueError` for a trouble that retries do not end."""
    url: str = getattr(params, host.url)
    rates = (Rate(1, 1 / params.per_second),) if params.per_second else host.rates
    limit = HostLimit(
        host_of(url), rates, host.concurrency, root=host_limits.folder(), stop=threading.Event(), patience=MAX_PAUSE
    )
    client = Client(lambda _: limit, user_agent(contact))
    try:
        yield RetryingHttp(client, limit)
    except Trouble as error:
        raise SegueError(f"{error}: what is written so far stays, and the same command resumes") from None
    finally:
        client.close()
        limit.close()


class RetryingHttp:
    """`Http` that retries what may succeed later, and pauses when the host reports that no requests are left."""

    def __init__(self, client: Client, limit: HostLimit) -> None:
        self._client = client
        self._limit = limit
        self.slot, self.session = client.slot, client.session

    def get(
        self,
        url: str,
        params: Mapping[str, QueryValue] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        expect: Expect = "json",
        max_bytes: int | None = None,
    ) -> WholeReply:
        send = partial(self._client.get, url, params, headers=headers, max_bytes=max_bytes)
        return self._retried(partial(send, expect=expect), expect)

    def post(
        self,
        url: str,
        *,
        data: Mapping[str, str] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        expect: Expect = "json",
        max_bytes: int | None = None,
    ) -> WholeReply:
        send = partial(self._client.post, url, data=data, json=json, headers=headers, max_bytes=max_bytes)
        return self._retried(partial(send, expect=expect), expect)

    def _retried(self, send: Callable[[], WholeReply], expect: Expect) -> WholeReply:
        for attempt in stamina.retry_context(
            on=_may_succeed_later, attempts=ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=16.0, wait_jitter=0.5
        ):
            with attempt:
                reply = send()
                if expect == "json" and reply.status == 200:
                    reply.json()  # a truncated body is requested again
        left, seconds = reply.headers.get("X-RateLimit-Remaining"), reply.headers.get("X-RateLimit-Reset-In", "")
        if left == "0" and seconds.isdigit():
            self._limit.pause(min(float(seconds), MAX_PAUSE))
        return reply


def _may_succeed_later(error: Exception) -> bool:
    """Whether to retry. A refusal has paused the host's limit already, for as long as `Retry-After` demands."""
    if isinstance(error, RateLimited):
        return (error.retry_after or 0.0) <= MAX_PAUSE
    return isinstance(error, Transient)

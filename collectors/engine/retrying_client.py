"""HTTP client for one host with automatic retries, for downloads without a ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import httpx
import stamina

from collectors.engine import host_limits
from collectors.engine.host_limits import HostLimit
from collectors.engine.hosts import host_of, retry_after, user_agent
from collectors.engine.http_client import Client
from collectors.engine.servers import Servers, check_keys
from collectors.source import Expect, Host, Http, Rate, RateLimited, Reply, Source, SourceParams, Transient, Trouble
from toolkit.errors import SegueError

Secrets = Mapping[str, str]
NO_SECRETS: Secrets = MappingProxyType({})
ATTEMPTS = 6
MAX_PAUSE = 120.0
"""Longest pause that is waited for, in seconds."""


@contextmanager
def open_http(
    host: Host, params: SourceParams, contact: str, *, source: type[Source] | None = None, secrets: Secrets = NO_SECRETS
) -> Iterator[Http]:
    """Yield an `Http` client with the limits of one host.

    - source: source whose other hosts get requests too, with `secrets` as its keys by name.
    Raises `InputError` if the keys would be sent to another server, and `SegueError` if retries do not help.
    """
    hosts = (host,) if source is None else source.hosts
    check_keys("" if source is None else source.name, hosts, params, secrets)
    servers = Servers.of(hosts, params)
    url: str = getattr(params, host.url)
    rates = (Rate(1, 1 / params.per_second),) if params.per_second else host.rates
    limit = HostLimit(
        host_of(url), rates, host.concurrency, root=host_limits.folder(), stop=threading.Event(), patience=MAX_PAUSE
    )
    client = RetryingClient(lambda _: limit, user_agent(contact), servers=servers, secrets=secrets.values())
    try:
        yield client
    except Trouble as error:
        raise SegueError(f"{error}: run the same command again to resume") from None
    finally:
        client.close()
        limit.close()


class RetryingClient(Client):
    """HTTP client that retries and that pauses when the host reports an exhausted quota."""

    def send(self, request: httpx.Request, expect: Expect, max_bytes: int | None) -> Reply:
        for attempt in stamina.retry_context(
            on=_may_succeed_later, attempts=ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=16.0, wait_jitter=0.5
        ):
            with attempt:
                reply = super().send(request, expect, max_bytes)
                if expect == "json" and reply.status == 200:
                    reply.json()  # a truncated body is requested again
        left, seconds = (
            reply.headers.get("X-RateLimit-Remaining"),
            retry_after(reply.headers.get("X-RateLimit-Reset-In")),
        )
        if left == "0" and seconds is not None:
            self.limit(host_of(str(request.url))).pause(min(seconds, MAX_PAUSE))
        return reply


def _may_succeed_later(error: Exception) -> bool:
    """Return whether to retry. The host limit already implements the pause in `Retry-After`."""
    if isinstance(error, RateLimited):
        return (error.retry_after or 0.0) <= MAX_PAUSE
    return isinstance(error, Transient)

"""Host names, host rates, HTTP statuses and the scheme of redirects.

The rates of a host are declared by its sources or set by `per_second` in the recipe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

import toolkit
from collectors.source import Blocked, Host, Rate, RateLimited, Source, SourceParams, Transient
from toolkit.errors import InputError

Seconds = float
GONE = (404, 410)
"""Statuses that are an answer: the resource does not exist."""


class Offline(Transient):
    """Error that a host cannot be reached because of the host or the network."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in seconds; `read` is between two parts of a response and `whole` for the whole response."""

    connect: Seconds = 10.0
    read: Seconds = 30.0
    whole: Seconds = 180.0


def user_agent(contact: str) -> str:
    """Return the `User-Agent` with a contact. Raises `InputError` if the contact is not an address or URL."""
    reachable = "@" in contact or contact.startswith(("http://", "https://"))
    if not (contact.isprintable() and contact.isascii() and reachable):
        raise InputError(
            f"contact={contact!r} must be an e-mail address or a URL: set `contact` to an address that hosts can reach"
        )
    return f"segue/{toolkit.__version__} ({contact})"


def host_of(url: str) -> str:
    """Return `name` or `name:port` of a URL in the form in which hosts are compared.

    The name is in lower case, without a final dot, user and password. The default port of the scheme is left out.
    Raises `Transient` for an invalid URL.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        raise Transient("the URL in the answer is not valid") from None
    name = parsed.host.rstrip(".")
    name = f"[{name}]" if ":" in name else name
    return name if parsed.port is None else f"{name}:{parsed.port}"


def without_query(url: str) -> str:
    """Return host and path of a URL, without the query, which may contain keys."""
    return f"{host_of(url)}{urlsplit(url).path}"


def check_redirect(first: str, url: str) -> None:
    """Raise `Transient` if a redirect from `first` to `url` does not use HTTP or gives up encryption."""
    before, after = httpx.URL(first), httpx.URL(url)
    if after.scheme not in ("http", "https") or (before.scheme == "https" and after.scheme == "http"):
        raise Transient(f"{without_query(first)} redirects to {after.scheme}://{host_of(url)}, but must keep https")


def check_status(status: int, headers: Mapping[str, str], name: str) -> None:
    """Raise the trouble for an HTTP status other than 2xx, 404 and 410; `name` is the host for the message."""
    retry = retry_after(headers.get("retry-after"), _time_of(headers.get("date")))
    if status == 429 or (status == 503 and retry is not None):
        raise RateLimited(f"{name} returned HTTP {status} (too many requests)", status=status, retry_after=retry)
    if status in (401, 403, 451):
        raise Blocked(f"{name} returned HTTP {status} (not allowed)", status=status)
    if status >= 300 and status not in GONE:
        raise Transient(f"{name} returned HTTP {status}", status=status)


def retry_after(value: str | None, now: float | None = None) -> Seconds | None:
    """Return the seconds in a `Retry-After` header, or None for a missing or invalid header.

    `now` is the clock of the server, in seconds since 1970, which may differ from the clock of this machine.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        end = _time_of(value)
        if end is None:
            return None
        seconds = end - (time.time() if now is None else now)
    return max(0.0, seconds) if seconds == seconds else None  # NaN is a number to float()


def _time_of(date: str | None) -> float | None:
    """Return the seconds since 1970 of a date in a header, or None for a missing or invalid date."""
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


class HostRates(NamedTuple):
    """Rates of a host, which hold simultaneously, and the maximum number of concurrent requests."""

    rates: tuple[Rate, ...]
    concurrency: int


UNDECLARED = HostRates((Rate(10, 1.0),), 4)
"""Of hosts that no source declares: answers redirect to them."""


def rates_by_host(sources: Iterable[Source]) -> Callable[[str], HostRates]:
    """Return a function from host name to rates, which are shared by all sources of the host.

    Raises `InputError` if `per_second` is above the limit of the server.
    """
    hosts: dict[str, HostRates] = {}
    for source in sources:
        for host in source.hosts:
            name = host_of(getattr(source.params, host.url))
            rates, concurrency = hosts.get(name, HostRates((), host.concurrency))
            rates = tuple(dict.fromkeys((*rates, *rates_of(source, host))))
            hosts[name] = HostRates(rates, min(concurrency, host.concurrency))
    return lambda name: hosts.get(name, UNDECLARED)


def own_urls(hosts: Iterable[Host], params: SourceParams) -> dict[str, str]:
    """Return the URLs of the source's own servers by parameter: those that it has where a recipe sets none."""
    fields = type(params).model_fields
    names = sorted({host.url for host in hosts if not fields[host.url].is_required()})
    if not names:
        return {}
    default = type(params).model_validate(params.model_dump(exclude=set(names)))
    return {name: getattr(default, name) for name in names}


def rates_of(source: Source, host: Host) -> tuple[Rate, ...]:
    """Return the rates of a source for one of its hosts. Raises `InputError` like `rates_by_host`."""
    per_second = source.params.per_second
    if per_second is None:
        return host.rates
    own_server = host_of(getattr(source.params, host.url)) in map(host_of, own_urls([host], source.params).values())
    limit = min((rate.requests / rate.seconds for rate in host.rates), default=per_second)
    if own_server and per_second > limit:
        raise InputError(
            f"per_second={per_second:g} of source {source.name!r} must be <= {limit:g} (the server limit): "
            f"set `per_second` to at most {limit:g} or remove the key"
        )
    burst = max(1, int(per_second))
    return (Rate(burst, burst / per_second),)


def least_seconds(requests: int, rates: Iterable[Rate]) -> float:
    """Return the minimum time in seconds for a number of requests under these rates."""
    return max((max(0.0, (requests - rate.requests)) / rate.requests * rate.seconds for rate in rates), default=0.0)

"""Hosts: their names and rates, the meaning of their HTTP statuses, and the redirects that are refused.

The rates of a host are those that its sources declare, or `per_second` of the recipe.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import toolkit
from collectors.source import Blocked, Host, Rate, RateLimited, Source, Transient
from toolkit.errors import InputError

Seconds = float
GONE = (404, 410)
"""Statuses that are an answer: the resource does not exist."""


class Offline(Transient):
    """The host cannot be reached at all. The fault is the host's or the network's, not the request's."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in seconds. read: between two parts of a response. whole: for all of it."""

    connect: Seconds = 10.0
    read: Seconds = 30.0
    whole: Seconds = 180.0


def user_agent(contact: str) -> str:
    """The `User-Agent`, with the project and the contact. Raises `InputError` where that is neither address nor URL."""
    reachable = "@" in contact or contact.startswith(("http://", "https://"))
    if not (contact.isprintable() and contact.isascii() and reachable):
        raise InputError(
            f"contact={contact!r} must be an e-mail address or the URL of a page: hosts write there before they block"
        )
    return f"segue/{toolkit.__version__} ({contact})"


def host_of(url: str) -> str:
    """`name` or `name:port` of a URL, in lower case and without user and password."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def without_query(url: str) -> str:
    """Host and path of a URL, for messages: the query may hold keys."""
    return f"{host_of(url)}{urlsplit(url).path}"


def check_redirect(first: str, url: str) -> None:
    """Check where a request to `first` is redirected.

    Raises `Transient` where `url` has another scheme than HTTP, gives up encryption, or leads from the web to this
    machine or its network.
    """
    before, after = urlsplit(first), urlsplit(url)
    if after.scheme not in ("http", "https") or (before.scheme == "https" and after.scheme == "http"):
        raise Transient(f"{without_query(first)} redirects to {after.scheme}://{host_of(url)}, which is not followed")
    if _is_internal(after.hostname) and not _is_internal(before.hostname):
        raise Transient(f"{without_query(first)} redirects to {host_of(url)}, which is not a public host")


def check_status(status: int, headers: Mapping[str, str], name: str) -> None:
    """Raise the trouble that a status means; 2xx, 404 and 410 mean none. name: of the host, for the message."""
    retry = retry_after(headers.get("retry-after"))
    if status == 429 or (status == 503 and retry is not None):
        raise RateLimited(f"{name} answers {status}: too many requests", status=status, retry_after=retry)
    if status in (401, 403, 451):
        raise Blocked(f"{name} answers {status}: not allowed", status=status)
    if status >= 300 and status not in GONE:
        raise Transient(f"{name} answers {status}", status=status)


def retry_after(value: str | None, now: float | None = None) -> Seconds | None:
    """Seconds in a `Retry-After` header, a number or a date; None without the header or for another text."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - (time.time() if now is None else now)
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if seconds == seconds else None  # NaN is a number to float()


def _is_internal(host: str | None) -> bool:
    """Whether a host is this machine or in its network, by name or number."""
    if host is None or host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


class HostRates(NamedTuple):
    """All rates of a host hold at once. concurrency: requests under way at a time."""

    rates: tuple[Rate, ...]
    concurrency: int


UNDECLARED = HostRates((Rate(10, 1.0),), 4)
"""Of hosts that no source declares: answers redirect to them."""


def rates_by_host(sources: Iterable[Source]) -> Callable[[str], HostRates]:
    """A function from a host's name to its rates. Sources of one host share its rates.

    Raises `InputError` where `per_second` is above what the source's own server allows.
    """
    hosts: dict[str, HostRates] = {}
    for source in sources:
        for host in source.hosts:
            name = host_of(getattr(source.params, host.url))
            rates, concurrency = hosts.get(name, HostRates((), host.concurrency))
            rates = tuple(dict.fromkeys((*rates, *rates_of(source, host))))
            hosts[name] = HostRates(rates, min(concurrency, host.concurrency))
    return lambda name: hosts.get(name, UNDECLARED)


def rates_of(source: Source, host: Host) -> tuple[Rate, ...]:
    """A source's rates for one of its hosts, with its parameters. Raises `InputError` as `rates_by_host`."""
    per_second = source.params.per_second
    if per_second is None:
        return host.rates
    own_server = getattr(source.params, host.url) == type(source.params).model_fields[host.url].default
    limit = min((rate.requests / rate.seconds for rate in host.rates), default=per_second)
    if own_server and per_second > limit:
        raise InputError(
            f"{source.name}: per_second={per_second:g} must be <= {limit:g}, "
            "which its server allows: lower it, or leave it out"
        )
    burst = max(1, int(per_second))
    return (Rate(burst, burst / per_second),)


def least_seconds(requests: int, rates: Iterable[Rate]) -> float:
    """The least time that so many requests take under these rates."""
    return max((max(0.0, (requests - rate.requests)) / rate.requests * rate.seconds for rate in rates), default=0.0)

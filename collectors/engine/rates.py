"""The rates of requests to each host: those that its sources declare, or `per_second` of the recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from collectors.engine.hosts import host_of
from collectors.source import Host, Rate, Source
from toolkit.errors import InputError


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

"""Which rates a host is asked at: what every source that asks it declares, or what the recipe says instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from collectors.engine.hosts import host_of
from collectors.source import Host, Rate, Source
from toolkit.errors import InputError

ELSEWHERE = ((Rate(10, 1.0),), 4)
"""For hosts that no source declares: where answers redirect to, and where files lie."""

Pace = tuple[tuple[Rate, ...], int]


def rates(sources: Iterable[Source]) -> Callable[[str], Pace]:
    """The rates and the concurrency of a host; sources of one host share them, all of their rates hold.

    Raises `InputError` for `per_second` above what the source's own server allows.
    """
    hosts: dict[str, Pace] = {}
    for source in sources:
        for host in source.hosts:
            name = host_of(getattr(source.params, host.url))
            mine = allowed(source, host)
            before, concurrency = hosts.get(name, ((), host.concurrency))
            hosts[name] = (
                (*before, *(rate for rate in mine if rate not in before)),
                min(concurrency, host.concurrency),
            )
    return lambda name: hosts.get(name, ELSEWHERE)


def allowed(source: Source, host: Host) -> tuple[Rate, ...]:
    """A source's rates for one of its hosts, under its parameters."""
    asked = source.params.per_second
    if asked is None:
        return host.rates
    own = getattr(source.params, host.url) == type(source.params).model_fields[host.url].default
    if own and host.rates and asked > (most := min(rate.requests / rate.seconds for rate in host.rates)):
        raise InputError(
            f"{source.name}: per_second={asked:g} must be <= {most:g}, which its server allows: lower it, or leave it out"
        )
    return (Rate(1, 1 / asked),) if asked < 1 else (Rate(max(1, int(asked)), max(1, int(asked)) / asked),)


def seconds(needed: int, given: Iterable[Rate]) -> float:
    """Least time for so many requests under these rates."""
    return max((max(0.0, (needed - rate.requests)) / rate.requests * rate.seconds for rate in given), default=0.0)

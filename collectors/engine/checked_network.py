"""Connections of HTTP clients, with a check of the address and a deadline.

A host name is resolved once, every address is checked, and the connection goes to a checked address. A name that
resolves differently after the check therefore has no effect. TLS still verifies the host name.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx
from requests.utils import get_environ_proxies, select_proxy

from collectors.engine.hosts import Offline
from collectors.source import Transient

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv6 addresses that stand for IPv4 addresses in networks without IPv4 (RFC 6052)."""
SHORTEST_WAIT = 0.001
"""Time limit in seconds of an operation after the deadline. The library then raises its own timeout."""

Internal = Callable[[str, int], bool]
"""Function from host name and port to whether the host may have an address in the local network."""

_deadline = threading.local()


def is_public(address: str) -> bool:
    """Return whether an IP address is public.

    Loopback, private, link-local, shared (RFC 6598), multicast and reserved addresses are not public. IPv6 addresses
    that contain an IPv4 address are classified by that address.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else inner
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified


def addresses(host: str, port: int, internal: Internal) -> list[str]:
    """Return the addresses of a host in the order of preference.

    Raises `Offline` for a name without an address, and `Transient` if one of the addresses is not public and the host
    may not be internal.
    """
    try:
        found = list(dict.fromkeys(str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    except (socket.gaierror, UnicodeError, OverflowError):  # unknown, not encodable, or a port that cannot be
        raise Offline(f"{host} cannot be reached") from None
    if not internal(host, port) and (hidden := next((one for one in found if not is_public(one)), None)):
        raise Transient(
            f"{host} has the address {hidden}, but addresses from answers must be public: name a server of your own in "
            "the parameters of the source"
        )
    return found


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Bound all connections of this thread, headers and slow bodies included, by a time in seconds."""
    _deadline.end = time.monotonic() + seconds
    try:
        yield
    finally:
        _deadline.end = None


def _bounded(timeout: float | None) -> float | None:
    end = getattr(_deadline, "end", None)
    if end is None:
        return timeout
    left = max(end - time.monotonic(), SHORTEST_WAIT)
    return left if timeout is None else min(timeout, left)


class CheckedNetwork(httpcore.NetworkBackend):
    """Network of a transport that connects only to checked addresses.

    - inner: network that makes the connections. Its exceptions are kept.
    - internal: hosts that may have internal addresses.
    """

    def __init__(self, inner: httpcore.NetworkBackend, internal: Internal) -> None:
        self._inner, self._internal = inner, internal

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        found = addresses(host, port, self._internal)
        for place, address in enumerate(found, 1):
            try:
                bounded = _bounded(timeout)
                return _Stream(self._inner.connect_tcp(address, port, bounded, local_address, socket_options))
            except Exception:
                if place == len(found):
                    raise
        raise Offline(f"{host} cannot be reached")

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    """Connection whose operations end at the deadline of `within`."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _bounded(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _bounded(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _bounded(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def guard(transport: Any, internal: Internal) -> None:
    """Make a transport of httpx, or of its successor that pylast uses, connect through `CheckedNetwork`."""
    pool = transport._pool  # transports have no parameter for a network
    pool._network_backend = CheckedNetwork(pool._network_backend, internal)


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()


class Transport(httpx.BaseTransport):
    """Transport of one source, which uses the proxies of the environment (`HTTPS_PROXY`, `NO_PROXY`, …).

    A proxy resolves names itself. Behind a proxy a name is judged by the address that this machine finds, if any.
    """

    def __init__(self, internal: Internal) -> None:
        self._internal = internal
        self._direct = self._transport(None)
        self._proxied: dict[str, httpx.HTTPTransport] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        proxy = select_proxy(url, get_environ_proxies(url, None))
        if proxy is None:
            return self._direct.handle_request(request)
        with suppress(Offline):  # only the proxy may know the name
            addresses(request.url.host, request.url.port or 443, self._internal)
        with self._lock:
            if proxy not in self._proxied:
                self._proxied[proxy] = self._transport(proxy)
        return self._proxied[proxy].handle_request(request)

    def close(self) -> None:
        for transport in (self._direct, *self._proxied.values()):
            transport.close()

    def _transport(self, proxy: str | None) -> httpx.HTTPTransport:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        address = proxy and (proxy if urlsplit(proxy).netloc else f"http://{proxy}")
        transport = httpx.HTTPTransport(verify=_certificates(), limits=limits, proxy=address)
        # the proxy itself is chosen by the user
        guard(transport, (lambda host, port: True) if proxy else self._internal)
        return transport

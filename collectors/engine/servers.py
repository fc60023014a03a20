"""Servers of a source: which of them may receive keys and the contact, and which may be in the local network.

The keys of a source and the user's contact are for the source's own servers, which its parameters have as defaults,
over https. A recipe may name other servers, and recipes come from strangers. Another server gets no key unless the
environment variable `SEGUE_TRUSTED_HOSTS` names it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import httpx

from collectors.engine.hosts import host_of, own_urls
from collectors.source import Host, Source, SourceParams
from toolkit.errors import InputError

TRUSTED = "SEGUE_TRUSTED_HOSTS"
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Servers:
    """Servers of a source.

    - own: hosts (`name` or `name:port`) of the defaults of the source.
    - configured: (host name, port) of the servers that the parameters name.
    - trusted: (host name, port) of the servers that the user trusts; None is any port.
    - personal: whether keys and the contact may be sent to all configured servers.
    """

    own: frozenset[str] = frozenset()
    configured: frozenset[tuple[str, int]] = frozenset()
    trusted: frozenset[tuple[str, int | None]] = frozenset()
    personal: bool = False

    @classmethod
    def of(cls, hosts: Sequence[Host], params: SourceParams) -> Servers:
        """Return the servers of a source. Raises `InputError` for a wrong URL or a wrong `SEGUE_TRUSTED_HOSTS`."""
        named = [checked(getattr(params, host.url), host.url) for host in hosts]
        servers = cls(
            frozenset(host_of(url) for url in own_urls(hosts, params).values() if url.startswith("https://")),
            frozenset(map(_name_and_port, named)),
            frozenset(trusted_hosts()),
        )
        return replace(servers, personal=all(map(servers.are_personal, named)))

    def are_personal(self, url: httpx.URL) -> bool:
        """Return whether keys and the contact may be sent to a URL."""
        return self.is_trusted(*_name_and_port(url)) or (url.scheme == "https" and host_of(str(url)) in self.own)

    def are_configured(self, url: httpx.URL) -> bool:
        """Return whether a URL is of a server that the parameters of the source name, or that the user trusts."""
        return self.may_be_internal(*_name_and_port(url))

    def may_be_internal(self, name: str, port: int) -> bool:
        """Return whether a host may have an address in the local network, because the user or a recipe named it."""
        return (name.rstrip("."), port) in self.configured or self.is_trusted(name, port)

    def is_trusted(self, name: str, port: int) -> bool:
        name = name.rstrip(".")
        return (name, port) in self.trusted or (name, None) in self.trusted


def checked(url: str, name: str) -> httpx.URL:
    """Return the base URL of a server; `name` is the parameter.

    Raises `InputError` for anything but a plain http or https address. User and password must not be in a recipe.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    plain = url.isprintable() and not set(url) & set(" \\@?#")
    if parsed.scheme not in PORTS or not parsed.host or not plain:
        raise InputError(
            f"{name}={url!r} must be an http or https address without user, query and fragment: set `{name}` to an "
            "address such as https://example.org"
        )
    return parsed


def others(hosts: Sequence[Host], params: SourceParams) -> dict[str, str]:
    """Return the URLs by parameter that are neither of the source's own servers nor of trusted ones."""
    servers = Servers.of(hosts, params)
    named = {host.url: getattr(params, host.url) for host in hosts}
    return {name: url for name, url in named.items() if not servers.are_personal(httpx.URL(url))}


def contacted(sources: Iterable[Source]) -> str:
    """Return the hosts to which sources send requests, with those that a recipe names instead of the sources' own."""
    names = []
    for source in sources:
        other, own = others(source.hosts, source.params), own_urls(source.hosts, source.params)
        for host in source.hosts:
            name = host_of(getattr(source.params, host.url))
            instead = f" (`{host.url}` of {source.name}, instead of {host_of(own[host.url])})"
            names.append(name + (instead if host.url in other and host.url in own else ""))
    return ", ".join(dict.fromkeys(names))


def check_keys(source: str, hosts: Sequence[Host], params: SourceParams, keys: Iterable[str]) -> None:
    """Raise `InputError` if keys, given by name, would be sent to a server that is neither own nor trusted."""
    names = " and ".join(keys)
    if not names:
        return
    for name, url in others(hosts, params).items():
        own = own_urls(hosts, params).get(name, "a server of the source")
        raise InputError(
            f"source {source!r} must not send {names} to {url}, which `{name}` sets instead of {own}: "
            f"remove `{name}`, or, if you trust this server with them, export {TRUSTED}={host_of(url)}"
        )


def trusted_hosts(environment: Mapping[str, str] = os.environ) -> list[tuple[str, int | None]]:
    """Return (host name, port) of the servers in `SEGUE_TRUSTED_HOSTS`, in which a missing port is any port.

    Raises `InputError` for an entry that is not `host` or `host:port`.
    """
    hosts = []
    for entry in filter(None, (part.strip() for part in environment.get(TRUSTED, "").split(","))):
        try:
            url = httpx.URL(f"//{entry}")
        except httpx.InvalidURL:
            url = httpx.URL()
        if not url.host or "/" in entry or "@" in entry:
            raise InputError(
                f"{TRUSTED}={entry!r} must be `host` or `host:port`, separated by commas: correct the variable"
            )
        hosts.append((url.host.rstrip("."), url.port))
    return hosts


def _name_and_port(url: httpx.URL) -> tuple[str, int]:
    return url.host.rstrip("."), url.port or PORTS.get(url.scheme, 0)

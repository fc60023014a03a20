"""Hosts: their names, what their answers' statuses mean, and where they may not lead."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import toolkit
from collectors.source import Blocked, RateLimited, Transient
from toolkit.errors import InputError

Seconds = float
GONE = (404, 410)
"""Statuses that are an answer: there is no such thing."""


class Offline(Transient):
    """The host cannot be reached at all: its fault or the network's, not the request's."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """read: between two pieces of an answer. whole: for all of it."""

    connect: Seconds = 10.0
    read: Seconds = 30.0
    whole: Seconds = 180.0


def user_agent(contact: str) -> str:
    """Names the project and whom to write to. Raises `InputError` for a contact that is neither address nor page."""
    if (
        not contact.isprintable()
        or not contact.isascii()
        or not ("@" in contact or contact.startswith(("http://", "https://")))
    ):
        raise InputError(
            f"contact={contact!r} must be an e-mail address or the URL of a page: hosts write there before they block"
        )
    return f"segue/{toolkit.__version__} ({contact})"


def host_of(url: str) -> str:
    """`name` or `name:port`, in lower case and without user and password."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def where(url: str) -> str:
    """A URL as messages may hold it: without its query, where keys stand."""
    parts = urlsplit(url)
    return f"{host_of(url)}{parts.path}"


def check_redirect(first: str, url: str) -> None:
    """Raises `Transient` where a redirect leads from the web to this machine or network, to another scheme, or out of encryption."""
    before, after = urlsplit(first), urlsplit(url)
    if after.scheme not in ("http", "https") or (before.scheme == "https" and after.scheme == "http"):
        raise Transient(f"{where(first)} redirects to {after.scheme}://{host_of(url)}, which is not followed")
    if _internal(after.hostname) and not _internal(before.hostname):
        raise Transient(f"{where(first)} redirects to {host_of(url)}, which is not a public host")


def refuse(status: int, headers: Mapping[str, str], name: str) -> None:
    """Raises what a status means; returns for 2xx, 404 and 410."""
    retry = retry_after(headers.get("retry-after"))
    if status == 429 or (status == 503 and retry is not None):
        raise RateLimited(f"{name} answers {status}: too many requests", status=status, retry_after=retry)
    if status in (401, 403, 451):
        raise Blocked(f"{name} answers {status}: not allowed", status=status)
    if status >= 300 and status not in GONE:
        raise Transient(f"{name} answers {status}", status=status)


def retry_after(value: str | None, now: float | None = None) -> Seconds | None:
    """Seconds that a `Retry-After` header asks for: a number or a date; None for none or one that is neither."""
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


def _internal(host: str | None) -> bool:
    """Whether a host is this machine or of its network, by name or number."""
    if host is None or host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False

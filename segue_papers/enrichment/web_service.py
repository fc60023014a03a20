"""Client for JSON web services with a time limit, retries, and a one-line message for every failure."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException, IncompleteRead
from typing import Any

from toolkit.errors import DataError, InputError, SegueError

AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Status codes after which the request is repeated."""

LONGEST_WAIT = 60.0
"""Maximum wait before a retry, in seconds."""

MAX_BYTES = 64 << 20
"""Bytes of an answer; 50 subjects with all their facts have a hundredth of it."""

CHUNK = 1 << 16


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Handler that follows no redirect: a redirected form would lose its content and could go to any server."""

    def redirect_request(self, *_: object) -> None:
        return None


_DIGITS = re.compile(r"[0-9]{1,9}")
_OPENER = urllib.request.build_opener(_NoRedirects)


def post_form(
    url: str,
    form: dict[str, str],
    *,
    what: str,
    accept: str = "application/json",
    timeout: float = 30,
    retries: int = 4,
    wait: float = 0.5,
) -> Any:
    """Post a form and return the JSON of the answer.

    - what: name of the service in messages.
    - timeout: time limit in seconds between two parts of the answer. The whole answer may take ten times as long.
    - retries: number of retries after a request without an answer.
    - wait: seconds before the first retry, doubled for each further retry. The service's `Retry-After` overrides
      `wait`, up to a minute.

    Raises `InputError` if the request is rejected, `SegueError` if there is no answer, and `DataError` if the answer is
    not JSON.
    """
    request = urllib.request.Request(
        url, urllib.parse.urlencode(form).encode(), {"Accept": accept, "User-Agent": "segue"}
    )
    for attempt in range(retries + 1):
        try:
            with _OPENER.open(request, timeout=timeout) as answer:
                return _json(_body(answer, time.monotonic() + 10 * timeout, url, what), url, what)
        except urllib.error.HTTPError as error:
            reason, retry_after = f"returned {error.code} {error.reason}", error.headers.get("Retry-After")
            if location := error.headers.get("Location") if 300 <= error.code < 400 else None:
                raise InputError(
                    f"{what} at {url} redirects to {location[:200]!r}: set that address if you trust it"
                ) from None
            if error.code not in AGAIN:
                raise InputError(f"{what} at {url} {reason}: check the address and the parameters") from None
        except (OSError, HTTPException) as error:  # unknown address, refused, interrupted, or too slow
            cause = getattr(error, "reason", None) or error
            reason, retry_after = f"cannot be reached ({' '.join(str(cause).split()) or type(cause).__name__})", None
        if attempt < retries:
            seconds = float(retry_after) if retry_after and _DIGITS.fullmatch(retry_after) else wait * 2**attempt
            time.sleep(min(seconds, LONGEST_WAIT))
    raise SegueError(
        f"{what} at {url} {reason} after {retries + 1} requests: start the service, then run the command again to "
        "resume"
    )


def checked_url(url: str) -> str:
    """Return an HTTP address without user and password, which must not be in a recipe.

    Raises `ValueError` for anything else, which parameter models convert to an error message.
    """
    parts = urllib.parse.urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("an address must not contain a user or a password, because recipes are shared: remove them")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(
            f"{url!r} must be an http or https address: set a complete address, such as http://localhost:2222"
        )
    return url


def _body(answer: Any, deadline: float, url: str, what: str) -> bytes:
    """Return a body within `MAX_BYTES`. Raises `TimeoutError` after the deadline, a `time.monotonic` value."""
    parts, size = [], 0
    while part := answer.read1(CHUNK):
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise DataError(f"{what} at {url} returned more than {MAX_BYTES >> 20} MB: check the address")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer is too slow")
    if answer.length:
        raise IncompleteRead(b"", answer.length)
    return b"".join(parts)


def _json(content: bytes, url: str, what: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise DataError(f"{what} at {url} returned {content[:60]!r} but must return JSON: check the address") from None

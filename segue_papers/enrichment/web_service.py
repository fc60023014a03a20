"""Questions to a web service: a form posted, JSON back, with a time limit, repeats, and every failure in one line."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from typing import Any

from toolkit.errors import DataError, InputError, SegueError

AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which the same question may find another."""

LONGEST_WAIT = 60.0


def ask(
    url: str,
    form: dict[str, str],
    *,
    what: str,
    accept: str = "application/json",
    timeout: float = 30,
    retries: int = 4,
    wait: float = 0.5,
) -> Any:
    """The JSON that `url` answers to `form`. what: the service's name in messages.

    A question without an answer is asked again up to `retries` times, after `wait` seconds and twice as many each time,
    or what the service's `Retry-After` says (never more than a minute). Raises `InputError` where the question is refused,
    `SegueError` where no answer comes, `DataError` where it is not JSON.
    """
    request = urllib.request.Request(
        url, urllib.parse.urlencode(form).encode(), {"Accept": accept, "User-Agent": "segue"}
    )
    for attempt in range(retries + 1):
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return _json(answer.read(), url, what)
        except urllib.error.HTTPError as error:
            reason, asked_to_wait = f"answers {error.code} {error.reason}", error.headers.get("Retry-After")
            if error.code not in AGAIN:
                raise InputError(f"{what} at {url} {reason}: check the address and the parameters") from None
        except (OSError, HTTPException) as error:  # no address, refused, cut off, or too slow
            cause = getattr(error, "reason", None) or error
            reason, asked_to_wait = f"cannot be reached ({' '.join(str(cause).split()) or type(cause).__name__})", None
        if attempt < retries:
            time.sleep(_seconds(asked_to_wait, wait * 2**attempt))
    raise SegueError(
        f"{what} at {url} {reason}, asked {retries + 1} times: see that it runs; the same command goes on where this stopped"
    )


def checked_url(url: str) -> str:
    """`url` where it is one of http. Raises `ValueError`, which parameter models turn into their message."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{url!r} is not an http:// or https:// address")
    return url


def _json(content: bytes, url: str, what: str) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise DataError(
            f"{what} at {url} answers {content[:60]!r}, which is not JSON: is it another service?"
        ) from None


def _seconds(asked: str | None, otherwise: float) -> float:
    return min(float(asked) if asked is not None and asked.isdigit() else otherwise, LONGEST_WAIT)

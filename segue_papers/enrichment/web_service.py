"""Client for JSON web services with a time limit, retries, and a one-line message for every failure."""

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
"""Status codes after which the request is repeated."""

LONGEST_WAIT = 60.0
"""Maximum wait before a retry, in seconds."""


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
    - timeout: time limit of a request in seconds.
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
            with urllib.request.urlopen(request, timeout=timeout) as answer:  # nosec B310 # the address is https or chosen by the user
                return _json(answer.read(), url, what)
        except urllib.error.HTTPError as error:
            reason, retry_after = f"returned {error.code} {error.reason}", error.headers.get("Retry-After")
            if error.code not in AGAIN:
                raise InputError(f"{what} at {url} {reason}: check the address and the parameters") from None
        except (OSError, HTTPException) as error:  # unknown address, refused, interrupted, or too slow
            cause = getattr(error, "reason", None) or error
            reason, retry_after = f"cannot be reached ({' '.join(str(cause).split()) or type(cause).__name__})", None
        if attempt < retries:
            seconds = float(retry_after) if retry_after is not None and retry_after.isdigit() else wait * 2**attempt
            time.sleep(min(seconds, LONGEST_WAIT))
    raise SegueError(
        f"{what} at {url} {reason} after {retries + 1} requests: start the service, then run the command again to "
        "resume"
    )


def checked_url(url: str) -> str:
    """Return an HTTP address.

    Raises `ValueError` for anything else, which parameter models convert to an error message.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(
            f"{url!r} must be an http or https address: set a complete address, such as http://localhost:2222"
        )
    return url


def _json(content: bytes, url: str, what: str) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise DataError(f"{what} at {url} returned {content[:60]!r} but must return JSON: check the address") from None

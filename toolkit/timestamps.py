"""Conversion between times as text and int64 seconds since 1970 (UTC)."""

from __future__ import annotations

import math
from datetime import UTC, datetime

NO_TIME = -(2**63)
"""Value of a placement or playlist whose time is unknown."""

FIRST, LAST = -62_135_596_800, 253_402_300_799
"""The first second of year 1 and the last of year 9999."""

TIME_RULE = "must be ISO 8601, such as 2020-07-01 or 2020-07-01T12:00:00Z, or seconds since 1970"
"""Message for text that `to_seconds` cannot parse."""

DATE_DIGITS = 8
"""Number of digits of a date without dashes. As seconds, such numbers would be before 1974."""


def to_seconds(text: str) -> int | None:
    """Return an ISO 8601 time, or a number of seconds as text, as seconds since 1970, rounded down.

    A time without a zone is UTC. Returns None for other text, including numbers after the year 9999 such as current
    times in milliseconds.
    """
    text = text.strip()
    if not text.isascii() or "_" in text:  # digits of other scripts, and the underscores of Python
        return None
    if not (len(text) == DATE_DIGITS and text.isdecimal()):
        try:
            number = float(text)
            return math.floor(number) if FIRST <= number <= LAST else None
        except ValueError:
            pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    seconds = math.floor((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())
    return seconds if FIRST <= seconds <= LAST else None  # a time zone can lead out of the years


def to_iso(moment: int) -> str:
    """Format seconds since 1970 as `2020-07-01`, with the time of day unless it is midnight (UTC)."""
    text = datetime.fromtimestamp(int(moment), UTC).isoformat().replace("+00:00", "Z")
    return text.removesuffix("T00:00:00Z")

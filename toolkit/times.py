"""Points in time as files write them, and as arrays hold them: int64 seconds since 1970, UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime

NO_TIME = -(2**63)
"""Of a placement or playlist whose time is not known."""

FIRST, LAST = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999."""

EXPECTED = "must be ISO 8601, such as 2020-07-01 or 2020-07-01T12:00:00Z, or seconds since 1970"
"""What is wrong with a text that `seconds` does not read."""

DATE = 8
"""Digits of a date without dashes; as seconds they would all lie before 1974."""


def seconds(text: str) -> int | None:
    """Seconds since 1970 of a time in ISO 8601 (UTC where it names no zone) or of a number of them; None for anything else.

    Parts of a second are cut off. A number past the year 9999 is none: today's milliseconds are such.
    """
    text = text.strip()
    try:
        number = float(text) if not (len(text) == DATE and text.isdecimal()) else None
    except ValueError:
        number = None
    if number is not None:
        return math.floor(number) if FIRST <= number <= LAST else None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return math.floor((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())


def written(moment: int) -> str:
    """`2020-07-01`, or with the time of day where it is not midnight, UTC."""
    text = datetime.fromtimestamp(int(moment), UTC).isoformat().replace("+00:00", "Z")
    return text.removesuffix("T00:00:00Z")

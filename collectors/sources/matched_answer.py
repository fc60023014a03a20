"""Helper functions of sources for search queries, answers by match score, covers and audio features."""

from __future__ import annotations

from collections.abc import Mapping

from collectors.matching import verdict
from collectors.source import Absent, Ambiguous, Answer, Found, Http, Other, Transient
from toolkit.catalogue.image_check import flaw
from toolkit.catalogue.records import LARGEST, FieldValue
from toolkit.constants import AUDIO_FEATURES

MAX_COVER_BYTES = 16 << 20
"""A cover of 1,000 pixels has a twentieth of it."""


def answer_by_score(
    score: float,
    values: Mapping[str, FieldValue],
    payload: bytes | str = b"",
    *,
    note: str = "",
    others: tuple[Other, ...] = (),
) -> Answer:
    """Return `Found`, `Ambiguous` or `Absent` by score; `note` describes the match of an ambiguous answer."""
    match verdict(score):
        case "found":
            return Found(values, score, payload, others) if values or others else Absent(payload=payload)
        case "ambiguous":
            return Ambiguous(score, values, note, payload)
    return Absent(payload=payload)


def quoted_query(**phrases: str) -> str:
    """Return a search query such as `artist:"Nina Simone"`, without quotes inside phrases."""
    return " ".join(f'{name}:"{text.replace(chr(34), " ")}"' for name, text in phrases.items())


def audio_features_of(row: Mapping[str, object]) -> tuple[list[float], str]:
    """Return the numbers in the order of `AUDIO_FEATURES`, or no numbers and a note if some are missing."""
    numbers = {name: _finite(row.get(name)) for name in AUDIO_FEATURES}
    missing = [name for name, number in numbers.items() if number is None]
    if missing:
        return [], f"without {', '.join(missing)}"
    return [number for number in numbers.values() if number is not None], ""


def fetch_cover(http: Http, url: str) -> dict[str, bytes]:
    """Return the field `cover` from `url`, or no field if missing. Raises `Transient` for a damaged image."""
    reply = http.get(url, expect="image", max_bytes=MAX_COVER_BYTES)
    if reply.status != 200:
        return {}
    if (fault := flaw(reply.content)) is not None:
        raise Transient(f"the cover {fault}", status=reply.status)
    return {"cover": reply.content}


def _finite(value: object) -> float | None:
    """Return a number as float, or None for other types and numbers that are not finite as float32."""
    # not `math.isfinite`, which ends at an integer of hundreds of digits
    if isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST:
        return float(value)
    return None

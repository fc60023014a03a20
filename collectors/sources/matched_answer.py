"""From what a source has, and how well it fits, to the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectors.matching import verdict
from collectors.source import Absent, Ambiguous, Answer, Found, Http, Other, Transient
from toolkit.catalogue.image_check import flaw
from toolkit.catalogue.records import LARGEST, FieldValue
from toolkit.constants import AUDIO_FEATURES

MOST_OF_A_PICTURE = 16 << 20
"""Bytes; a cover of 1,000 pixels has a twentieth of it."""


def judged(
    score: float,
    values: Mapping[str, FieldValue],
    payload: bytes | str = b"",
    *,
    note: str = "",
    others: tuple[Other, ...] = (),
) -> Answer:
    """`Found`, `Ambiguous` or `Absent` by the score. note: what was found instead, for the doubtful."""
    match verdict(score):
        case "found":
            return Found(values, score, payload, others) if values or others else Absent(payload=payload)
        case "ambiguous":
            return Ambiguous(score, values, note, payload)
    return Absent(payload=payload)


def eleven(row: Mapping[str, Any]) -> tuple[list[float], str]:
    """The numbers in the order of `AUDIO_FEATURES`, and what is missing of them: a word for the ledger, empty where all are there."""
    missing = [name for name in AUDIO_FEATURES if not _finite(row.get(name))]
    return ([], f"without {', '.join(missing)}") if missing else ([float(row[name]) for name in AUDIO_FEATURES], "")


def picture(http: Http, url: str) -> dict[str, bytes]:
    """Field `cover` of the image at `url`, nothing where it is gone. Raises `Transient` for one that cannot be opened, or not safely."""
    reply = http.get(url, expect="image", max_bytes=MOST_OF_A_PICTURE)
    if reply.status != 200:
        return {}
    if (fault := flaw(reply.content)) is not None:
        raise Transient(f"the cover {fault}", status=reply.status)
    return {"cover": reply.content}


def _finite(number: object) -> bool:
    # not `math.isfinite`, which ends at an integer of hundreds of digits
    return isinstance(number, int | float) and not isinstance(number, bool) and -LARGEST <= number <= LARGEST

"""Checks of answers in the types in which they are stored.

A database accepts neither a zero character nor half of a surrogate pair. Vectors are stored as float32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from collectors.source import Absent, Answer, Found, Transient, Trouble
from toolkit.catalogue import image_check
from toolkit.catalogue.records import LARGEST, FieldValue

MAX_TEXT = 1_000_000
"""Characters; the longest encyclopedia article has fewer."""
MAX_NUMBERS = 100_000
"""Maximum length of a vector. The widest embeddings have a tenth of it."""
MAX_NOTE = 500
"""Maximum number of characters of a note in the ledger."""
COVER = "cover"


def check_answer(answer: Answer) -> Answer:
    """Return an answer that can be stored. Raises `Trouble` as `check_values` does, and for an invalid score."""
    payload = answer.payload.encode("utf-8", "replace") if isinstance(answer.payload, str) else answer.payload
    if isinstance(answer, Absent):
        return replace(answer, payload=payload, note=storable(answer.note)[:MAX_NOTE])
    if not (isinstance(answer.score, int | float) and math.isfinite(answer.score) and 0 <= answer.score <= 1):
        raise Trouble("the match score must be a number from 0 to 1")
    values = check_values(answer.values)
    if isinstance(answer, Found):
        others = tuple(replace(other, value=_checked(other.field, other.value)) for other in answer.others)
        return replace(answer, payload=payload, values=values, others=others)
    return replace(answer, payload=payload, values=values, note=storable(answer.note)[:MAX_NOTE])


def check_values(values: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """Return the values in a form that can be stored.

    Raises `Trouble` for a text or a vector that is too long, a vector with a number that float32 does not have, or
    another type, and `Transient` for a cover that cannot be opened.
    """
    # a plug-in may return None for a field without a value
    return {name: _checked(name, value) for name, value in values.items() if value is not None}


def storable(text: str) -> str:
    """Return a text without zero characters and surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _checked(name: str, value: FieldValue) -> FieldValue:
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise Trouble(f"{name} has {len(value):,} characters and must have at most {MAX_TEXT:,}")
        return storable(value)
    if isinstance(value, list):
        return _checked_vector(name, value)
    if not isinstance(value, bytes | Path):
        raise Trouble(f"{name} is of type {type(value).__name__} and must be text, a vector, bytes or a path")
    if name == COVER and (flaw := image_check.flaw(image_check.read_file(value) if isinstance(value, Path) else value)):
        raise Transient(f"{name} {flaw}")  # mostly the rest of the image was lost on its way
    return value


def _checked_vector(name: str, value: list[float]) -> list[float]:
    if not 0 < len(value) <= MAX_NUMBERS:
        raise Trouble(f"{name} has {len(value):,} numbers and must have 1 to {MAX_NUMBERS:,}")
    # comparisons, because `isfinite` fails for an integer of hundreds of digits
    if not all(isinstance(number, int | float) and -LARGEST <= number <= LARGEST for number in value):
        raise Trouble(f"{name} must be a list of finite numbers within ±{LARGEST:.1e}")
    return [float(number) for number in value]

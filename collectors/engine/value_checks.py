"""Whether a value is what its field takes, before it is stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from collectors.source import Transient, Trouble
from toolkit.catalogue import image_check
from toolkit.catalogue.records import FieldValue

LONGEST_TEXT = 1_000_000
"""Characters; the longest encyclopedia article has fewer."""
COVER = "cover"


def checked(values: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """The values as they can be stored. Raises `Trouble` for one that is no number or no text of any use, `Transient` for no cover."""
    return {name: _checked(name, value) for name, value in values.items()}


def _checked(name: str, value: FieldValue) -> FieldValue:
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise Trouble(f"{name} has {len(value):,} characters, more than {LONGEST_TEXT:,}")
        return (
            value.replace("\0", "").encode("utf-8", "replace").decode()
        )  # half a surrogate pair is no text to a database
    if isinstance(value, list):
        if not value or not all(isinstance(number, int | float) and math.isfinite(number) for number in value):
            raise Trouble(f"{name} is not a vector of finite numbers")
        return value
    if name == COVER and (flaw := image_check.flaw(value.read_bytes() if isinstance(value, Path) else value)):
        raise Transient(f"{name} {flaw}")  # half a picture has mostly lost the other half on its way
    return value

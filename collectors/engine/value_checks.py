"""Checks for values before they are stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from collectors.source import Transient, Trouble
from toolkit.catalogue import image_check
from toolkit.catalogue.records import FieldValue

MAX_TEXT = 1_000_000
"""Characters; the longest encyclopedia article has fewer."""
COVER = "cover"


def check_values(values: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """Return the values in a form that can be stored.

    Raises `Trouble` for a text that is too long or a vector that is not finite, `Transient` for a cover that cannot be
    opened.
    """
    return {name: _checked(name, value) for name, value in values.items()}


def _checked(name: str, value: FieldValue) -> FieldValue:
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise Trouble(f"{name} has {len(value):,} characters and must have at most {MAX_TEXT:,}")
        # a database takes neither a zero nor half a surrogate pair
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        if not value or not all(isinstance(number, int | float) and math.isfinite(number) for number in value):
            raise Trouble(f"{name} must be a non-empty list of finite numbers")
        return value
    if name == COVER and (flaw := image_check.flaw(image_check.read_file(value) if isinstance(value, Path) else value)):
        raise Transient(f"{name} {flaw}")  # mostly the rest of the image was lost on its way
    return value

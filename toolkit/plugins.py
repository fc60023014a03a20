"""Entry-point registry: built-ins and strangers' plug-ins come in by the same door."""

from __future__ import annotations

import difflib
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from toolkit.errors import InputError

GROUPS = ("segue.encoders", "segue.readers", "segue.rankers", "segue.collectors", "segue.stages", "segue.commands")


@lru_cache
def found(group: str) -> dict[str, EntryPoint]:
    """Entry points of `group` by name; nothing is imported."""
    return {point.name: point for point in entry_points(group=group)}


def names(group: str) -> list[str]:
    """Names on offer in `group`, sorted."""
    return sorted(found(group))


def load(group: str, name: str) -> Any:
    """Import the object behind `name`.

    Raises `InputError` for an unknown name (with the nearest known one) and
    for a plug-in that fails to import (naming its package).
    """
    points = found(group)
    if name not in points:
        kind = group.removeprefix("segue.").rstrip("s")
        raise InputError(f"{name!r} is no {kind}: {suggest(name, list(points))}")
    point = points[name]
    try:
        return point.load()
    except InputError:
        raise
    except Exception as error:
        origin = point.dist.name if point.dist else point.value
        raise InputError(f"{group} plug-in {name!r} of {origin} does not import: {error!r}") from error


def suggest(name: str, known: list[str]) -> str:
    """`; did you mean 'x'?`, or a list of what is known."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"

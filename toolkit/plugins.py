"""Entry-point registry: built-ins and strangers' plug-ins come in by the same door."""

from __future__ import annotations

import difflib
import pkgutil
import traceback
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from toolkit.errors import InputError

CONTRACTS = {
    "segue.encoders": "toolkit.encoders.base:Encoder",
    "segue.readers": "toolkit.catalogue.readers.base:Reader",
    "segue.rankers": "toolkit.ranker:Ranker",
    "segue.collectors": "collectors.base:Source",
}
"""Of the groups that hold classes, the one that every entry extends; by name, so that looking up a reader imports no ranker."""

OWN = "segue"
"""The distribution whose plug-ins are built in."""

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

    Raises `InputError` for an unknown name (with the nearest known one), and, naming the
    package, for a plug-in that fails to import or lacks what its contract asks for.
    """
    points = found(group)
    if name not in points:
        kind = group.removeprefix("segue.").rstrip("s")
        raise InputError(f"{name!r} is no {kind}: {suggest(name, list(points))}")
    point = points[name]
    origin = point.dist.name if point.dist else point.value
    try:
        entry = point.load()
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{group} plug-in {name!r} of {origin} does not import: {error!r}") from error
    if fault := _fault(group, entry):
        raise InputError(f"{group} plug-in {name!r} of {origin} {fault}")
    return entry


def _fault(group: str, entry: Any) -> str:
    """What keeps an entry from being one of its group; empty for nothing."""
    if group not in CONTRACTS:
        return ""
    contract, base = CONTRACTS[group].replace(":", "."), pkgutil.resolve_name(CONTRACTS[group])
    if not (isinstance(entry, type) and issubclass(entry, base)):
        return f"is no subclass of {contract}"
    lacking = [name for name in base.__annotations__ if not hasattr(entry, name)] + sorted(getattr(entry, "__abstractmethods__", ()))
    return f"lacks {', '.join(lacking)}: see {contract}" if lacking else ""


def at_fault(error: BaseException) -> str | None:
    """The plug-in in whose code an error arose or was passed on, as `module of package`; None where a built-in did.

    Told by the module, not its folder: every file beside a plug-in's own belongs to it.
    """
    strangers = {
        point.module.partition(".")[0]: point.dist.name
        for group in GROUPS
        for point in found(group).values()
        if point.dist is not None and point.dist.name != OWN
    }
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = frame.f_globals.get("__name__", "")
        if (package := strangers.get(module.partition(".")[0])) is not None:
            return f"{module} of {package}"
    return None


def suggest(name: str, known: list[str]) -> str:
    """`; did you mean 'x'?`, or a list of what is known."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"

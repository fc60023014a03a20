"""Entry-point registry: built-ins and strangers' plug-ins come in by the same door."""

from __future__ import annotations

import contextlib
import difflib
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from toolkit.errors import InputError

CONTRACTS = {
    "segue.encoders": "toolkit.encoders.contract.encoder:Encoder",
    "segue.readers": "toolkit.catalogue.readers.reader:Reader",
    "segue.rankers": "toolkit.ranker:Ranker",
    "segue.collectors": "collectors.source:Source",
    "segue.losses": "toolkit.contracts.loss:Loss",
    "segue.joins": "toolkit.contracts.join:Join",
    "segue.missing": "toolkit.contracts.missing_policy:Missing",
    "segue.models": "toolkit.recipe.model_section:ModelSpec",
    "segue.metrics": "toolkit.contracts.metric:Metric",
    "segue.protocols": "toolkit.contracts.protocol:Protocol",
}
"""Of the groups that hold classes, the one that every entry extends; by name, so that looking up a reader imports no ranker."""

KINDS = {"segue.missing": "missing-value policy"}
"""What an entry of a group is called, where the group's name without its last letter will not do."""

OWN = "segue"
"""The distribution whose plug-ins are built in."""

GROUPS = (*CONTRACTS, "segue.stages", "segue.commands")


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
        if ":" in name:
            return _imported(group, name)
        kind = kind_of(group)
        raise InputError(f"{name!r} is not {article(kind)}: {suggest(name, list(points))}")
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


def usable(group: str) -> dict[str, Any]:
    """What `load` gives for each name of `group`, sorted; a plug-in that it refuses is left out, so that it breaks nothing else."""
    entries = {}
    for name in names(group):
        with contextlib.suppress(InputError):
            entries[name] = load(group, name)
    return entries


@contextlib.contextmanager
def current_folder() -> Iterator[None]:
    """Modules of the current folder can be imported inside."""
    here = os.getcwd()
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def path_of(group: str, entry: type, name: str) -> str:
    """A name by which `load` finds a class again: `name` where it is its entry point, else `module:Class`."""
    known = name in names(group) and load(group, name) is entry
    return name if known else f"{entry.__module__}:{entry.__qualname__}"


def contract(group: str) -> type:
    """The class that every entry of `group` extends."""
    base: type = pkgutil.resolve_name(CONTRACTS[group])
    return base


def kind_of(group: str) -> str:
    """What an entry of a group is called: `encoder` of `segue.encoders`."""
    return KINDS.get(group) or group.removeprefix("segue.").rstrip("s").replace("losse", "loss")


def article(noun: str) -> str:
    """`an encoder`, `a reader`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _imported(group: str, path: str) -> Any:
    """The class that `module:Class` names, held to the contract of `group`."""
    entry = imported(path)
    if fault := _fault(group, entry):
        raise InputError(f"{path!r} {fault}")
    return entry


BUILT_IN = ("segue", "toolkit", "collectors", "segue_papers")

_OWN_MODULES: dict[str, str] = {}
"""The class that was asked for, by the first name of its module, of modules that no package brings."""


def imported(path: str) -> Any:
    """What `module:Class` names, so that an idea needs no package; modules of the current folder are found too. Raises `InputError`."""
    module, _, name = path.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise InputError(f"{path!r} must be module:Class, such as my_ideas:MyLoss")
    try:
        with current_folder():
            entry = pkgutil.resolve_name(path)
        if (top := module.partition(".")[0]) not in BUILT_IN:
            _OWN_MODULES[top] = path
        return entry
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise InputError(f"{path!r} does not import: {error!r}") from error
        file = f"{module.split('.')[0]}.py"
        cure = f"call segue from the folder that has {file}, put {file} into this folder, or install it"
        raise InputError(f"{path!r} names a module that is not here: {cure}") from None
    except AttributeError:
        cure = (
            ": put it into a file of its own" if module == "__main__" else ""
        )  # of a notebook or a script that has ended
        raise InputError(f"{path!r}: module {module} has no class {name}{cure}") from None
    except Exception as error:
        raise InputError(f"{path!r} does not import: {error!r}") from error


def _fault(group: str, entry: Any) -> str:
    """What keeps an entry from being one of its group; empty for nothing."""
    if group not in CONTRACTS:
        return ""
    base = contract(group)
    where = f"segue.plugin.{base.__name__}"
    if not (isinstance(entry, type) and issubclass(entry, base)):
        return f"is not a subclass of {where}"
    lacking = [
        name
        for name in base.__annotations__
        if not hasattr(entry, name) and name not in getattr(entry, "model_fields", ())
    ] + sorted(getattr(entry, "__abstractmethods__", ()))
    return f"lacks {', '.join(lacking)}: see {where}" if lacking else ""


def at_fault(error: BaseException) -> str | None:
    """The plug-in in whose code an error arose or was passed on, as `module of package` or `module:Class`; None where a built-in did.

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
        if (path := _OWN_MODULES.get(module.partition(".")[0])) is not None:
            return path
    return None


def suggest(name: str, known: list[str]) -> str:
    """`; did you mean 'x'?`, or a list of what is known."""
    folded = {each.casefold(): each for each in reversed(known)}
    near = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=1)]
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"

"""Registry of plug-ins by entry point, the built-in ones included."""

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

from toolkit.errors import InputError, MissingPackage
from toolkit.packages import not_found

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
"""Base class of the entries of each group of classes, by name: looking up a reader then imports no ranker."""

NOUNS = {"segue.missing": "missing-value policy", "segue.losses": "loss"}
"""Noun for an entry of a group, if it is not the group's name without its last letter."""

OWN = "segue"
"""The distribution whose plug-ins are built in."""

GROUPS = (*CONTRACTS, "segue.stages", "segue.commands")


@lru_cache
def points(group: str) -> dict[str, EntryPoint]:
    """Entry points of `group` by name. Nothing is imported."""
    return {point.name: point for point in entry_points(group=group)}


def names(group: str) -> list[str]:
    """Names in `group`, sorted."""
    return sorted(points(group))


def load(group: str, name: str) -> Any:
    """Import the object behind `name`.

    Raises `InputError` for an unknown name, with the nearest known one, and for a plug-in that does not import or does
    not implement its contract, with its package.
    """
    known = points(group)
    if name not in known:
        if ":" in name:
            entry = imported(name)
            if problem := _problem(group, entry):
                raise InputError(f"{name!r} {problem}")
            return entry
        kind = kind_of(group)
        raise InputError(f"{name!r} is not {article(kind)}: {suggest(name, list(known))}")
    point = known[name]
    origin = point.dist.name if point.dist else point.value
    try:
        entry = point.load()
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (package := not_found(error)) is not None:
            raise MissingPackage(f"{name!r} needs {package.module}, which {package.fault}") from None
        raise InputError(f"{group} plug-in {name!r} of {origin} does not import: {error!r}") from error
    if problem := _problem(group, entry):
        raise InputError(f"{group} plug-in {name!r} of {origin} {problem}")
    return entry


def usable(group: str) -> dict[str, Any]:
    """The objects of `group` by name, sorted. A plug-in that `load` refuses is left out."""
    entries = {}
    for name in names(group):
        with contextlib.suppress(InputError):
            entries[name] = load(group, name)
    return entries


@contextlib.contextmanager
def current_folder() -> Iterator[None]:
    """Inside this context, modules of the current folder can be imported."""
    here = os.getcwd()
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def path_of(group: str, entry: type, name: str) -> str:
    """A name by which `load` finds a class again: `name` if it is its entry point, otherwise `module:Class`."""
    known = name in names(group) and load(group, name) is entry
    return name if known else f"{entry.__module__}:{entry.__qualname__}"


def contract(group: str) -> type:
    """Base class of the entries of `group`."""
    base: type = pkgutil.resolve_name(CONTRACTS[group])
    return base


def kind_of(group: str) -> str:
    """Noun for an entry of a group: `encoder` for `segue.encoders`."""
    return NOUNS.get(group) or group.removeprefix("segue.").rstrip("s")


def article(noun: str) -> str:
    """The noun with its article: `an encoder`, `a reader`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


BUILT_IN = ("segue", "toolkit", "collectors", "segue_papers")

_OWN_MODULES: dict[str, str] = {}
"""`module:Class` of the classes imported from outside the built-in packages, by the first part of the module."""


def imported(path: str) -> object:
    """Import the object that `module:Class` names, also from the current folder. Raises `InputError`."""
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
        # the module of a notebook, or of a script that has ended
        cure = ": put it into a file of its own" if module == "__main__" else ""
        raise InputError(f"{path!r}: module {module} has no class {name}{cure}") from None
    except Exception as error:
        raise InputError(f"{path!r} does not import: {error!r}") from error


def rule_of(error: InputError, name: str) -> str:
    """The message of an error of `load` without the name at its beginning."""
    return str(error).removeprefix(repr(name)).lstrip(": ")


def _problem(group: str, entry: object) -> str:
    """Why an entry does not implement the contract of its group; empty if it does."""
    if group not in CONTRACTS:
        return ""
    base = contract(group)
    where = f"segue.plugin.{base.__name__}"
    if not (isinstance(entry, type) and issubclass(entry, base)):
        return f"is not a subclass of {where}"
    missing = [
        name
        for name in base.__annotations__
        if not hasattr(entry, name) and name not in getattr(entry, "model_fields", ())
    ] + sorted(getattr(entry, "__abstractmethods__", ()))
    return f"lacks {', '.join(missing)}: see {where}" if missing else ""


def at_fault(error: BaseException) -> str | None:
    """The plug-in in whose code an error arose: `module of package` or `module:Class`; None for a built-in.

    Recognised by the module, not by its folder: every file next to a plug-in's own belongs to it.
    """
    packages = {
        point.module.partition(".")[0]: point.dist.name
        for group in GROUPS
        for point in points(group).values()
        if point.dist is not None and point.dist.name != OWN
    }
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = frame.f_globals.get("__name__", "")
        if (package := packages.get(module.partition(".")[0])) is not None:
            return f"{module} of {package}"
        if (path := _OWN_MODULES.get(module.partition(".")[0])) is not None:
            return path
    return None


def suggest(name: str, known: list[str]) -> str:
    """`did you mean 'x'?`, or the known names."""
    folded = {each.casefold(): each for each in reversed(known)}
    near = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=1)]
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"

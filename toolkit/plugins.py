"""Registry of plug-ins by entry point, including the built-in parts."""

from __future__ import annotations

import contextlib
import difflib
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
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
"""Path of the base class of each group. Paths avoid importing rankers to look up a reader."""

NOUNS = {"segue.missing": "missing-value policy", "segue.losses": "loss"}
"""Irregular nouns for entries of a group. Regular nouns are the group's name without the final s."""

TRUST = "SEGUE_TRUST"
"""Environment variable with the modules that run directories may name, separated by commas."""
_OF_A_RUN = ContextVar("of_a_run", default=False)

OWN = "segue"
"""Name of the distribution with the built-in plug-ins."""

GROUPS = (*CONTRACTS, "segue.stages", "segue.commands")


@lru_cache
def points(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of `group` by name without importing them."""
    return {point.name: point for point in entry_points(group=group)}


@lru_cache
def foreign(group: str) -> dict[str, str]:
    """Return the modules of the plug-ins in `group` that are not from this distribution, by name."""
    return {name: point.module for name, point in points(group).items() if point.dist is None or point.dist.name != OWN}


def names(group: str) -> list[str]:
    """Return the sorted names in `group`."""
    return sorted(points(group))


def load(group: str, name: str) -> Any:
    """Import the object of an entry point or of `module:Class`.

    Raises `InputError` for an unknown name, with the nearest known name, and for a plug-in that cannot be imported or
    violates its contract, with the plug-in's package.
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
    try:
        entry = point.load()
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (package := not_found(error)) is not None:
            raise MissingPackage(f"{name!r} needs {package.module}, which {package.fault}") from None
        raise InputError(
            f"{group} plug-in {name!r} of {_origin(point)} cannot be imported ({error!r}):"
            " repair or uninstall the package"
        ) from error
    if problem := _problem(group, entry):
        raise InputError(f"{group} plug-in {name!r} of {_origin(point)} {problem}")
    return entry


def _origin(point: EntryPoint) -> str:
    """Return the name of the package of an entry point. Reading it takes milliseconds."""
    return point.dist.name if point.dist else point.value


def usable(group: str) -> dict[str, Any]:
    """Return the objects of `group` by sorted name, without plug-ins that cannot be loaded."""
    entries = {}
    for name in names(group):
        with contextlib.suppress(InputError):
            entries[name] = load(group, name)
    return entries


@contextlib.contextmanager
def of_a_run() -> Iterator[None]:
    """Refuse imports of `module:Class` inside this context, where names come from a run directory.

    Importing a module runs its code, and a run from a stranger could name any module that Python finds. Entry points,
    modules that are already imported and modules in the environment variable `SEGUE_TRUST` are accepted.
    """
    token = _OF_A_RUN.set(True)
    try:
        yield
    finally:
        _OF_A_RUN.reset(token)


def _check_trusted(path: str, module: str) -> None:
    trusted = {*BUILT_IN, *filter(None, re.split(r"[,\s]+", os.environ.get(TRUST, "")))}
    top = module.partition(".")[0]
    if not _OF_A_RUN.get() or module in sys.modules or not trusted.isdisjoint((module, top)):
        return
    with current_folder():
        if find_spec(top) is None:
            return  # the import fails, and its message has the cure
    raise InputError(
        f"the run requires {path!r}, and importing a module runs its code: if you trust {module}, set {TRUST}={module}"
        " or, in Python, import it first"
    )


@contextlib.contextmanager
def current_folder() -> Iterator[None]:
    """Allow imports of modules in the current folder inside this context."""
    here = os.getcwd()
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def path_of(group: str, entry: type, name: str) -> str:
    """Return the name by which `load` finds a class: the entry point `name`, otherwise `module:Class`."""
    known = name in names(group) and load(group, name) is entry
    return name if known else f"{entry.__module__}:{entry.__qualname__}"


def contract(group: str) -> type:
    """Return the base class of the entries of `group`."""
    base: type = pkgutil.resolve_name(CONTRACTS[group])
    return base


def kind_of(group: str) -> str:
    """Return the noun for an entry of a group, such as `encoder` for `segue.encoders`."""
    return NOUNS.get(group) or group.removeprefix("segue.").rstrip("s")


def article(noun: str) -> str:
    """Return the noun with its article, such as `an encoder` or `a reader`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


BUILT_IN = ("segue", "toolkit", "collectors", "segue_papers")

_OWN_MODULES: dict[str, str] = {}
"""`module:Class` of classes from outside the built-in packages, by top-level module."""


def imported(path: str) -> object:
    """Import the object `module:Class`, also from the current folder. Raises `InputError`."""
    module, _, name = path.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise InputError(f"{path!r} must have the form module:Class: write my_ideas:MyLoss, for example")
    _check_trusted(path, module)
    try:
        with current_folder():
            entry = pkgutil.resolve_name(path)
        if (top := module.partition(".")[0]) not in BUILT_IN:
            _OWN_MODULES[top] = path
        return entry
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise InputError(f"{path!r} cannot be imported ({error!r}): repair the module") from error
        file = f"{module.split('.')[0]}.py"
        cure = f"run segue in the folder with {file}, move {file} to this folder, or install the package"
        raise InputError(f"{path!r} requires a module that cannot be found: {cure}") from None
    except AttributeError:
        # the module of a notebook, or of a script that has ended
        cure = "move the class to a file" if module == "__main__" else "check the name"
        raise InputError(f"{path!r} is not defined in module {module}: {cure}") from None
    except Exception as error:
        raise InputError(f"{path!r} cannot be imported ({error!r}): repair the module") from error


def rule_of(error: InputError, name: str) -> str:
    """Return the message of an error raised by `load`, without the name at the beginning."""
    return str(error).removeprefix(repr(name)).lstrip(": ")


def _problem(group: str, entry: object) -> str:
    """Return why an entry violates the contract of its group, or ""."""
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
    return f"must implement {', '.join(missing)}: see {where}" if missing else ""


def at_fault(error: BaseException) -> str | None:
    """Return the plug-in whose code raised an error as `module of package` or `module:Class`, or None.

    The plug-in is recognised by the top-level module, which includes all files in its package.
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
            owner, _, method = frame.f_code.co_qualname.partition(".")  # several classes may share a module
            return f"{module}:{owner}" if method and owner.isidentifier() else path
    return None


def crash(error: BaseException) -> str:
    """Return one line for an unexpected error: the plug-in or package at fault, the class and the message."""
    return f"an error inside {at_fault(error) or OWN}, {type(error).__name__}: {' '.join(str(error).split())}"


def suggest(name: str, known: list[str]) -> str:
    """Return `did you mean 'x'?`, or the known names if no name is similar."""
    folded = {each.casefold(): each for each in reversed(known)}
    near = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=1)]
    return f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(sorted(known))}"

"""Hashes of source code, as parts of cache keys: the program's own, and the files of classes that a recipe names as `module:Class`."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import toolkit
from toolkit import plugins

CLASS = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*")


PACKAGES = ("toolkit", "segue_papers")
"""Packages whose code decides results."""


@lru_cache
def package_source(*packages: str) -> str:
    """Hash of the source of the whole program, or of some packages of `toolkit`.

    Results that were computed by other code are not reused.
    """
    root = Path(toolkit.__file__).parents[1]
    hasher = hashlib.blake2b(toolkit.__version__.encode(), digest_size=16)
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root)
            if not packages or (package == "toolkit" and name.parts[1] in packages):
                hasher.update(str(name).encode())
                hasher.update(path.read_bytes())
    return hasher.hexdigest()


def sources(value: Any) -> dict[str, str]:
    """Hash of the source file of each module that `value` names as `module:Class`, by module.

    value: a recipe, or a part of one, as JSON values.
    """
    found = {}
    for module in sorted(set(_modules(value))):
        if (path := _file(module)) is not None:
            found[module] = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    return found


def source_of(group: str, cls: type, name: str) -> dict[str, str]:
    """As `sources`, of a class that no entry point of `group` leads to under `name`; empty where one does.

    What an entry point leads to has a version; a class of the reader's own is edited between two runs.
    """
    known = plugins.path_of(group, cls, name) == name
    return {} if known else sources(f"{cls.__module__}:{cls.__name__}")


def _modules(value: Any) -> Iterator[str]:
    if isinstance(value, str) and (match := CLASS.fullmatch(value)):
        yield match[1]
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _modules(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _modules(inner)


def _file(module: str) -> Path | None:
    """Where a module is read from; None for what is not a module of Python files."""
    with plugins.current_folder(), contextlib.suppress(ImportError, ValueError):
        spec = find_spec(module)
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            return Path(spec.origin)
    return None

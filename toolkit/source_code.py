"""Hashes of source code for cache keys, for the toolkit and for classes given as `module:Class`."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import toolkit
from toolkit import plugins

CLASS = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*")

PACKAGES = ("toolkit", "segue_papers", "segue/datasets")
"""Folders whose code affects results."""


@lru_cache
def package_source(*packages: str) -> str:
    """Return a hash of the source of all `PACKAGES`, or only of folders with the given names.

    Results computed by different code are not reused.
    """
    root = Path(toolkit.__file__).parents[1]
    hasher = hashlib.blake2b(toolkit.__version__.encode(), digest_size=16)
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root)
            if not packages or name.parts[1] in packages:
                hasher.update(str(name).encode())
                hasher.update(path.read_bytes())
    return hasher.hexdigest()


def sources(value: object) -> dict[str, str]:
    """Return a source hash for each module that `value` mentions as `module:Class`, by module.

    value: a recipe, or a part of one, as JSON values.
    """
    files = {module: _file(module) for module in sorted(set(_modules(value)))}
    return {
        module: hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        for module, path in files.items()
        if path is not None
    }


def source_of(group: str, cls: type, name: str) -> dict[str, str]:
    """Return source hashes as in `sources`, or {} for a class that is the entry point `name` of `group`.

    Entry-point classes have a version, whereas other classes may be edited between two runs.
    """
    return {} if plugins.path_of(group, cls, name) == name else sources(f"{cls.__module__}:{cls.__name__}")


def _modules(value: object) -> Iterator[str]:
    if isinstance(value, str) and (match := CLASS.fullmatch(value)):
        yield match[1]
    elif isinstance(value, dict):
        yield from _modules([*value.values()])
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _modules(inner)


def _file(module: str) -> Path | None:
    """Return the file of a module, or None if it is not a Python file."""
    with plugins.current_folder(), contextlib.suppress(ImportError, ValueError):
        spec = find_spec(module)
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            return Path(spec.origin)
    return None

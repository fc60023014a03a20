"""Hashes of source code for cache keys, for the toolkit and for classes given as `module:Class`."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import toolkit
from toolkit import plugins

CLASS = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*")

PACKAGES = ("toolkit", "segue_papers", "segue/datasets")
"""Folders whose code affects results."""

LIBRARIES = ("torch", "numpy", "scipy")
"""Libraries whose versions may differ in the last digits of results."""


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
    """Return a source hash for each module of a class or plug-in that `value` mentions, by module.

    value: a recipe, or a part of one, as JSON values. It mentions a class as `module:Class`, and an installed plug-in
    of another package by its name.
    """
    files = {module: _files(module) for module in sorted(set(_modules(value)))}
    return {module: _hash(paths) for module, paths in files.items() if paths}


def source_of(group: str, cls: type, name: str) -> dict[str, str]:
    """Return source hashes as in `sources`, or {} for a class of this package that is the entry point `name`.

    The classes of this package have a version. Others may be edited or upgraded between two runs.
    """
    own = plugins.path_of(group, cls, name) == name and name not in plugins.foreign(group)
    return {} if own else sources(f"{cls.__module__}:{cls.__name__}")


@lru_cache
def library_versions(*packages: str) -> dict[str, str]:
    """Return the versions of the libraries that compute vectors and models, and of further packages, if installed."""
    found = {}
    for package in sorted({*LIBRARIES, *packages}):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _hash(paths: Sequence[Path]) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    for path in paths:
        hasher.update(path.read_bytes())
    return hasher.hexdigest()


def _modules(value: object) -> Iterator[str]:
    if isinstance(value, str) and (match := CLASS.fullmatch(value)):
        yield match[1]
    elif isinstance(value, str):
        yield from (known[value] for group in plugins.CONTRACTS if value in (known := plugins.foreign(group)))
    elif isinstance(value, dict):
        yield from _modules([*value, *value.values()])
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _modules(inner)


def _files(module: str) -> list[Path]:
    """Return all Python files of a module's package, or the file of a module without a package."""
    with plugins.current_folder(), contextlib.suppress(ImportError, ValueError):
        spec = find_spec(module.partition(".")[0])
        if spec is not None and spec.submodule_search_locations:
            return sorted(path for folder in spec.submodule_search_locations for path in Path(folder).rglob("*.py"))
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            return [Path(spec.origin)]
    return []

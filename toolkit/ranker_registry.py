"""Rankers by name: the class for a name, and a fitted ranker from a folder.

A name is an entry point of `segue.rankers`, or `module:Class`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toolkit import plugins

if TYPE_CHECKING:
    from toolkit.ranker import Ranker

GROUP = "segue.rankers"
UNLISTED = "a sequential model is an entry of `models`"
"""Cure in the message for a name that is not `listed`."""


def ranker_class(name: str) -> type[Ranker]:
    """Return the ranker class with this name. Raises `InputError` for an unknown name and suggests the nearest."""
    cls: type[Ranker] = plugins.load(GROUP, name)
    return cls


def load_ranker(name: str, directory: Path, *, device: str = "cpu") -> Ranker:
    """Return the fitted ranker that a `ranker_class(name)` saved to `directory`.

    Raises `RunDirectoryError` if files are missing or damaged.
    """
    return ranker_class(name).load(directory, device=device)


def entry_name(ranker: Ranker) -> str:
    """Return the name by which `load_ranker` finds the class of `ranker`."""
    return plugins.path_of(GROUP, type(ranker), ranker.name)


def row_name(name: str) -> str:
    """Return a ranker's name in tables and folders: the entry point, or `name` of the class `module:Class`."""
    return ranker_class(name).name if ":" in name and name not in plugins.names(GROUP) else name


def listed() -> list[str]:
    """Return the sorted names of rankers that recipes may list as baselines or cold-start systems.

    The function imports all rankers.
    """
    return [name for name, cls in plugins.usable(GROUP).items() if cls.listed]

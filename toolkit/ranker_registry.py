"""Rankers by name: the class behind a name, and a fitted ranker from its folder.

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
"""The cure for a name that is not `listed`."""


def ranker_class(name: str) -> type[Ranker]:
    """The class with this name. Raises `InputError` for an unknown name, with the nearest known one."""
    cls: type[Ranker] = plugins.load(GROUP, name)
    return cls


def load_ranker(name: str, directory: Path, *, device: str = "cpu") -> Ranker:
    """The fitted ranker that a `ranker_class(name)` saved to `directory`.

    Raises `RunDirectoryError` where files are missing or damaged.
    """
    return ranker_class(name).load(directory, device=device)


def entry_name(ranker: Ranker) -> str:
    """The name by which `load_ranker` finds the class of `ranker` again."""
    return plugins.path_of(GROUP, type(ranker), ranker.name)


def row_name(name: str) -> str:
    """The name of a ranker in tables and folders: its entry point, or the `name` of the class `module:Class`."""
    return ranker_class(name).name if ":" in name and name not in plugins.names(GROUP) else name


def listed() -> list[str]:
    """Names of the rankers that a recipe may list as baselines or cold-start systems, sorted.

    All of them are imported.
    """
    return [name for name, cls in plugins.usable(GROUP).items() if cls.listed]

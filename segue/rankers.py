"""Classes of all installed rankers and sequential models, such as `segue.EASE(regularisation=300)`.

Each class is created on first use. `rankers.pyi`, written by `python -m segue.type_stubs`, declares the types of the
built-in classes.
"""

from __future__ import annotations

from segue import ranker_classes

__all__ = sorted(ranker_classes.entry_points())


def __getattr__(name: str) -> type:
    globals()[name] = cls = ranker_classes.create_class(name)
    return cls

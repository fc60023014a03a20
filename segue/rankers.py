"""One class for each installed ranker and sequential model, such as `segue.EASE(regularisation=300)`.

Each class is created when it is first used. `rankers.pyi` declares the types of the built-in ones. `python -m
segue.type_stubs` writes it.
"""

from __future__ import annotations

from segue import ranker_classes

__all__ = sorted(ranker_classes.entry_points())


def __getattr__(name: str) -> type:
    globals()[name] = cls = ranker_classes.create_class(name)
    return cls

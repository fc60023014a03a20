"""One class for each installed ranker and sequential model, with its parameters as keywords: `segue.EASE(regularisation=300)`.

Each class is created when it is first used. `rankers.pyi` declares the types of the built-in ones; `python -m segue.stubs` writes it.
"""

from __future__ import annotations

from segue import classes

__all__ = sorted(classes.places())


def __getattr__(name: str) -> type:
    found = classes.made(name)
    globals()[name] = found
    return found

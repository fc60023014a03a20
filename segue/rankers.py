"""One class for each ranker and each sequential model on offer, with its parameters as keywords: `segue.EASE(regularisation=300)`.

Each is made when it is first used. `rankers.pyi` holds the types of the built-in ones; `python -m segue.stubs` writes it.
"""

from __future__ import annotations

from segue import classes

__all__ = sorted(classes.places())


def __getattr__(name: str) -> type:
    found = classes.made(name)
    globals()[name] = found
    return found

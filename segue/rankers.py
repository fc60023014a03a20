"""One class for each ranker and each sequential model on offer, with its parameters as keywords: `segue.EASE(regularisation=300)`.

The classes are made from the entry points when they are first used, so that a plug-in's are here too; `rankers.pyi` holds the
types of the built-in ones (`python -m segue.stubs` writes it).
"""

from __future__ import annotations

from segue.model import Model, RankerModel, SequentialModel
from toolkit import plugins
from toolkit.plugins import suggest

RANKERS, MODELS = "segue.rankers", "segue.models"


def places() -> dict[str, tuple[str, str]]:
    """Group and entry point of each class, by the class's name; nothing is imported."""
    return {
        point.value.rpartition(":")[2].rpartition(".")[2]: (group, name)
        for group in (MODELS, RANKERS)
        for name, point in sorted(plugins.found(group).items())
    }


__all__ = sorted(places())


def __getattr__(name: str) -> type[Model]:
    known = places()
    if name.startswith("_") or name not in known:
        raise AttributeError(f"segue has no {name!r}: {suggest(name, list(known))}")
    made = _made(name, *known[name])
    globals()[name] = made
    return made


def _made(name: str, group: str, point: str) -> type[Model]:
    base: type[Model] = RankerModel if group == RANKERS else SequentialModel
    part = plugins.load(group, point)

    def __init__(self: Model, **params: object) -> None:
        base.__init__(self, point, **params)  # type: ignore[misc, arg-type]

    made: type[Model] = type(name, (base,), {"__init__": __init__, "kind": point, "__module__": "segue", "__doc__": part.__doc__})
    return made

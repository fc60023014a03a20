"""Classes for all installed rankers and sequential models, created from their entry points."""

from __future__ import annotations

from segue.model import Model
from segue.model_kinds import RankerModel, SequentialModel
from toolkit import plugins
from toolkit.plugins import suggest

RANKERS, MODELS = "segue.rankers", "segue.models"


def entry_points() -> dict[str, tuple[str, str]]:
    """Return group and name of each class's entry point by class name, without importing anything."""
    return {
        point.value.rpartition(":")[2].rpartition(".")[2]: (group, name)
        for group in (MODELS, RANKERS)
        for name, point in sorted(plugins.points(group).items())
    }


def create_class(name: str) -> type[Model]:
    """Return a new class for an entry point. Raises `AttributeError` for an unknown name and suggests the nearest."""
    known = entry_points()
    if name.startswith("_") or name not in known:
        import segue

        raise AttributeError(f"module 'segue' has no attribute {name!r}: {suggest(name, [*known, *segue.__all__])}")
    return _create(name, *known[name])


def _create(name: str, group: str, point: str) -> type[Model]:
    base: type[Model] = RankerModel if group == RANKERS else SequentialModel
    part = plugins.load(group, point)

    def __init__(self: Model, **params: object) -> None:
        base.__init__(self, point, **params)  # type: ignore[call-arg, arg-type]

    return type(name, (base,), {"__init__": __init__, "kind": point, "__module__": "segue", "__doc__": part.__doc__})

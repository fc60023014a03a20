"""Lists of the available parts, built-in or plug-in: names, parameters, defaults, and one sentence each."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from toolkit import plugins
from toolkit.errors import InputError, SegueError
from toolkit.parameters import alternatives
from toolkit.parts import Part

KINDS = {
    "readers": "segue.readers",
    "encoders": "segue.encoders",
    "rankers": "segue.rankers",
    "models": "segue.models",
    "losses": "segue.losses",
    "joins": "segue.joins",
    "missing": "segue.missing",
    "metrics": "segue.metrics",
    "protocols": "segue.protocols",
    "sources": "segue.collectors",
}
"""The kinds of parts that can be listed, and the entry-point group of each."""


@dataclass(frozen=True)
class Parameter:
    """One parameter. If it has no default, `default` is None and `required` is True."""

    name: str
    type: str
    default: object
    required: bool
    description: str


@dataclass(frozen=True)
class ListedPart:
    """One available part. error: why it cannot be used, or an empty string."""

    name: str
    sentence: str
    package: str
    parameters: list[Parameter] = field(default_factory=list)
    error: str = ""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def list_parts(kind: str) -> list[ListedPart]:
    """The parts of one kind, sorted by name.

    A plug-in that cannot be imported is listed with its `error`. Raises `InputError` for an unknown kind.
    """
    if kind not in KINDS:
        raise InputError(f"{kind!r} cannot be listed: {plugins.suggest(kind, list(KINDS))}")
    group = KINDS[kind]
    return [part for name in plugins.names(group) if (part := _listed_part(group, name)) is not None]


def parameters_of(cls: type) -> type[BaseModel] | None:
    """The model of a part's parameters: the part itself, or `Params` of its contract; None if it has no parameters."""
    if issubclass(cls, Part):
        return cls
    params: type[BaseModel] | None = getattr(cls, "Params", None)
    return params


def _listed_part(group: str, name: str) -> ListedPart | None:
    point = plugins.points(group)[name]
    package = point.dist.name if point.dist else point.value
    try:
        cls = plugins.load(group, name)
    except SegueError as error:
        return ListedPart(name, "", package, error=str(error))
    if not getattr(cls, "listed", True):
        return None
    model = parameters_of(cls)
    return ListedPart(name, sentence(cls), package, [] if model is None else parameters(model))


def sentence(cls: type) -> str:
    """The first sentence of a class's docstring."""
    text = " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())
    first, stop, _ = text.partition(". ")
    return first.rstrip(".") + "." if stop or first else ""


def parameters(model: type[BaseModel]) -> list[Parameter]:
    """Each parameter of a model, except `type`."""
    return [
        Parameter(name, shown(info.annotation), _default(info), info.is_required(), info.description or "")
        for name, info in model.model_fields.items()
        if name != "type" or not issubclass(model, Part)
    ]


def shown(annotation: object) -> str:
    """A readable type: `int`, `'a' or 'b'`, `list of float`."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return shown(args[0])
    if origin is Literal:
        return " or ".join(repr(each) for each in args)
    if origin in (list, tuple, set):
        return f"list of {shown(args[0])}"
    if origin is dict:
        return f"mapping to {shown(args[-1])}"
    kinds = alternatives(annotation)
    if len(kinds) > 1:
        return " or ".join(dict.fromkeys(shown(each) for each in kinds))
    if annotation is type(None):
        return "none"
    if annotation is object:
        return "any"
    return annotation.__name__.lower() if isinstance(annotation, type) else str(annotation)


def _default(info: FieldInfo) -> object:
    value = info.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return None
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value

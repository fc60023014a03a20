"""Lists of available parts, built-in or from plug-ins, with parameters, defaults and a sentence each."""

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
"""Entry-point groups by the kind of part."""


@dataclass(frozen=True)
class Parameter:
    """Parameter of a part. Without a default, `default` is None and `required` is True."""

    name: str
    type: str
    default: object
    required: bool
    description: str


@dataclass(frozen=True)
class ListedPart:
    """Available part. error: the reason why the part cannot be used, or ""."""

    name: str
    sentence: str
    package: str
    parameters: list[Parameter] = field(default_factory=list)
    error: str = ""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def list_parts(kind: str) -> list[ListedPart]:
    """Return the parts of a kind, sorted by name.

    A plug-in that cannot be imported is listed with an `error`. Raises `InputError` for an unknown kind.
    """
    if kind not in KINDS:
        raise InputError(f"{kind!r} is not a kind of part: {plugins.suggest(kind, list(KINDS))}")
    group = KINDS[kind]
    return [part for name in plugins.names(group) if (part := _listed_part(group, name)) is not None]


def parameters_of(cls: type) -> type[BaseModel] | None:
    """Return the model of a part's parameters (the part itself or its `Params`), or None without parameters."""
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
    """Return the first sentence of a class's docstring."""
    text = " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())
    first, stop, _ = text.partition(". ")
    return first.rstrip(".") + "." if stop or first else ""


def parameters(model: type[BaseModel]) -> list[Parameter]:
    """Return the parameters of a model, except `type`."""
    return [
        Parameter(name, shown(info.annotation), _default(info), info.is_required(), info.description or "")
        for name, info in model.model_fields.items()
        if name != "type" or not issubclass(model, Part)
    ]


def shown(annotation: object) -> str:
    """Return a readable type, such as `int`, `'a' or 'b'` or `list of float`."""
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

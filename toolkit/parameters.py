"""Base class of all validated parameters.

Unknown keys raise an error. Infinity and booleans are not accepted as numbers.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, TypeVar, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from toolkit.errors import Where

T = TypeVar("T")


class Parameters(BaseModel):
    """Base class for the sections of a recipe and for the parameters of plug-ins.

    Pydantic accepts booleans as numbers and numbers as booleans, so `seed: true` would be seed 1. This class rejects
    both, for values from Python and from files alike.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: object) -> object:
        if isinstance(values, dict) and cls.model_config.get("extra") == "forbid":
            known = [*cls.model_fields]
            faults = [
                fault("unknown_key", f"is not a key: {nearest(key, known)}", (key,), value)
                for key, value in values.items()
                if isinstance(key, str) and key not in cls.model_fields
            ]
            if faults:
                raise ValidationError.from_exception_data(cls.__name__, faults)
        return values

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_swapped(cls, value: object, info: ValidationInfo) -> object:
        if info.field_name in cls.model_fields and (
            faults := [*swapped(alternatives(cls.model_fields[info.field_name].annotation), value)]
        ):
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return value


def swapped(kinds: tuple[object, ...], value: object, where: Where = ()) -> Iterator[InitErrorDetails]:
    """Yield an error for each boolean in place of a number and each number in place of a boolean.

    kinds: the types that `value` may have. Values inside other models are validated by those models.
    """
    if isinstance(value, list | dict):
        inner = tuple(
            each for kind in kinds if get_origin(kind) in (list, dict) for each in alternatives(get_args(kind)[-1])
        )
        for step, part in enumerate(value) if isinstance(value, list) else value.items():
            yield from swapped(inner, part, (*where, step))
    elif isinstance(value, bool | int | float):
        number, boolean = int in kinds or float in kinds, bool in kinds
        if isinstance(value, bool) and number and not boolean:
            yield fault("swapped", "must be a number", where, value)
        elif not isinstance(value, bool) and boolean and not number:
            yield fault("swapped", "must be true or false", where, value)


def alternatives(annotation: object) -> tuple[object, ...]:
    """Return the types of a union, including unions inside `Annotated`."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(inner for each in get_args(annotation) for inner in alternatives(each))
    return (annotation,)


def nearest(name: str, known: Sequence[str]) -> str:
    """Return `did you mean x?`, or the known names if no name is similar."""
    near = difflib.get_close_matches(name, known, n=1)
    return (
        f"did you mean {near[0]}?"
        if near
        else f"use one of {', '.join(sorted(known))}"
        if known
        else "no names are allowed here"
    )


def rule_error(kind: str, rule: str) -> PydanticCustomError:
    """Return a pydantic error with the message `rule`, which may contain any characters."""
    return PydanticCustomError(kind, "{rule}", {"rule": rule})


def fault(kind: str, rule: str, where: Where, value: object) -> InitErrorDetails:
    """Return an error for pydantic's `ValidationError`, with the violated rule and its location `where`."""
    return InitErrorDetails(type=rule_error(kind, rule), loc=where, input=value)


def _once(values: list[T]) -> list[T]:
    if (twice := next((value for value in values if values.count(value) > 1), None)) is not None:
        raise rule_error("listed_twice", f"must have unique values, but {yaml_text(twice)} is listed twice: remove one")
    return values


Once = AfterValidator(_once)
"""Annotation of a list with unique values."""


def yaml_text(value: object) -> str:
    """Return a value in one line of YAML. For a model, only fields that are not defaults are written."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {yaml_text(each)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(yaml_text, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def either(names: Sequence[object]) -> str:
    """Return names as in a recipe, joined like `a, b or c`."""
    *first, last = map(yaml_text, names)
    return f"{', '.join(first)} or {last}" if first else last

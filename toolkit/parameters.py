"""Base class of all checked parameters. Unknown keys are errors, and neither infinity nor a boolean is accepted as a number."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

NUMBER = "must be a number"
BOOLEAN = "must be true or false"


class Parameters(BaseModel):
    """Base class of a recipe's sections and of the parameters of every plug-in.

    Pydantic accepts a boolean as a number and a number as a boolean: `seed: true` would be seed 1. This class refuses both. Values from
    Python and values from a file therefore pass the same check.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: Any) -> Any:
        if not isinstance(values, dict) or cls.model_config.get("extra") != "forbid":
            return values
        if unknown := [key for key in values if isinstance(key, str) and key not in cls.model_fields]:
            raise ValidationError.from_exception_data(
                cls.__name__, [_unknown(key, values[key], [*cls.model_fields]) for key in unknown]
            )
        return values

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_swapped(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool | int | float | list | dict) and info.field_name in cls.model_fields:
            annotation = cls.model_fields[info.field_name].annotation
            faults = [
                InitErrorDetails(type=PydanticCustomError("swapped", message), loc=where, input=found)
                for where, message, found in swapped(alternatives(annotation), value)
            ]
            if faults:
                raise ValidationError.from_exception_data(cls.__name__, faults)
        return value


def swapped(
    kinds: tuple[Any, ...], value: Any, where: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str, Any]]:
    """Find each boolean in place of a number, and each number in place of a boolean: location, rule and value.

    kinds: the types that `value` may have. Values inside other models are left to those models.
    """
    if isinstance(value, list | dict):
        inner = tuple(
            each for kind in kinds if get_origin(kind) in (list, dict) for each in alternatives(get_args(kind)[-1])
        )
        for step, part in enumerate(value) if isinstance(value, list) else value.items():
            yield from swapped(inner, part, (*where, step))
    elif Any not in kinds and isinstance(value, bool | int | float):
        number, boolean = int in kinds or float in kinds, bool in kinds
        if isinstance(value, bool) and number and not boolean:
            yield where, NUMBER, value
        elif not isinstance(value, bool) and boolean and not number:
            yield where, BOOLEAN, value


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, including a union inside `Annotated`."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(inner for each in get_args(annotation) for inner in alternatives(each))
    return (annotation,)


def nearest(name: str, known: Sequence[str]) -> str:
    """`did you mean x?`, or the known names."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known)) or 'none'}"


def _unknown(key: str, value: Any, known: Sequence[str]) -> InitErrorDetails:
    rule = PydanticCustomError("unknown_key", "{rule}", {"rule": f"is not a key: {nearest(key, known)}"})
    return InitErrorDetails(type=rule, loc=(key,), input=value)

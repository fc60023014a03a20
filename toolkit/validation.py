"""One-line messages for pydantic errors, with location, value, rule and the nearest known key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeGuard, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from toolkit.errors import InputError, Where
from toolkit.parameters import yaml_text

Model = TypeVar("Model", bound=BaseModel)
T = TypeVar("T")

LONGEST = 200
"""Number of characters of a value that a message repeats."""

REWORDED = (
    (r"^Value error, ", ""),
    (r"^Input should ", "must "),
    (r"^Input is ", "is "),
    (r"^String should ", "must "),
    (r"^List should ", "must "),
    (r"^Keys should be strings", "must be a string: put the key in quotes"),
    (r"must be a valid dictionary( or instance of \w+)?", "must be a mapping of keys to values"),
    (r"is not a valid path for <class '.*'>", "must be a path"),
    (r"items? after validation, not", "entries, not"),
    (r"must be a valid (\w+), unable to parse string as an? \w+", r"must be a valid \1"),
)


def validated(model: type[Model], values: Mapping[str, object], what: str) -> Model:
    """Validate `values` by their model. Raises `InputError` with the message of `one_line`."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise one_line(error, dict(values), what) from None


def one_line(error: ValidationError, values: object, what: str) -> InputError:
    """Return an `InputError` with `what` and the key, value and rule of the first error in `values`."""
    where, rule = explain(error, values)
    return InputError(f"{what}{'.'.join(map(str, where))}{rule}".replace(": :", ":"))


def explain(error: ValidationError, values: object) -> tuple[Where, str]:
    """Return the location of the first error in `values` and a message to print after the dotted path."""
    every = error.errors(include_url=False)
    # a mapping in place of a name is also reported as "not a string", which says nothing
    faults = [fault for fault in every if not (fault["type"] == "string_type" and fault["loc"][-1] == "str")] or every
    where, message = _explain(faults[0], values)
    return where, message + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")


def _explain(fault: ErrorDetails, values: object) -> tuple[Where, str]:
    where, message = _present(fault["loc"], values), fault["msg"]
    if fault["type"] in ("unknown_key", "missing_type"):
        return (where if where[-1:] == fault["loc"][-1:] else (*where, fault["loc"][-1])), f" {message}"
    if fault["type"] == "missing":
        return (*where, fault["loc"][-1]), " is missing: set the key"
    for pattern, wording in REWORDED:
        message = re.sub(pattern, wording, message)
    if fault["type"] == "value_error":
        return where, f": {message}"
    value = fault["input"]
    if not isinstance(value, str | int | float | bool | None):
        return where, f" {message}"
    text = repr(value) if isinstance(value, str) else yaml_text(value)
    return where, f"={text if len(text) <= LONGEST else text[:LONGEST] + '…'} {message}"


def _present(loc: Sequence[str | int], values: object) -> Where:
    """Return `loc` without the names that pydantic adds for the members of a union."""
    where: list[str | int] = []
    for step in loc:
        if isinstance(values, dict) and step in values:
            values = values[step]
        elif isinstance(values, list) and isinstance(step, int) and step < len(values):
            values = values[int(step)]
        else:
            continue
        where.append(step)
    return tuple(where)


def conforms(value: object, kind: type[T]) -> TypeGuard[T]:
    """Return whether a parsed JSON value has a type. Additional keys are allowed."""
    return not fault_of(value, kind)


def fault_of(value: object, kind: object) -> str:
    """Return why a parsed JSON value does not have a type, or ""."""
    import msgspec

    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        return str(error)
    return ""

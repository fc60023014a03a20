"""One-line messages for pydantic's errors: the location, the value, the rule, and the nearest known key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from toolkit.errors import InputError, Where
from toolkit.parameters import nearest as nearest

Model = TypeVar("Model", bound=BaseModel)

REWORDED = (
    (r"^Value error, ", ""),
    (r"^Input should ", "must "),
    (r"^Input is ", "is "),
    (r"^String should ", "must "),
    (r"^List should ", "must "),
    (r"^Keys should be strings", "must be a word: put it in quotes"),
    (r"must be a valid dictionary( or instance of \w+)?", "must be a mapping of keys to values"),
    (r"is not a valid path for <class '.*'>", "must be a path"),
    (r"items? after validation, not", "entries, not"),
    (r"must be a valid (\w+), unable to parse string as an? \w+", r"must be a valid \1"),
)


def validated(model: type[Model], values: Mapping[str, Any], what: str) -> Model:
    """Validate `values` by their model. Raises `InputError` with `what`, the key, the value and the rule in one line."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        where, rule = explain(error, dict(values))
        raise InputError(f"{what}{'.'.join(map(str, where))}{rule}".replace(": :", ":")) from None


def explain(error: ValidationError, data: Any) -> tuple[Where, str]:
    """The location of the first error in `data`, and a message to print after the dotted path."""
    faults = _distinct(error)
    where, message = _explain(faults[0], data)
    return where, message + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")


def _explain(fault: Any, data: Any) -> tuple[Where, str]:
    where, message = _present(fault["loc"], data), fault["msg"]
    if fault["type"] in ("unknown_key", "missing_type"):
        return (where if where[-1:] == fault["loc"][-1:] else (*where, fault["loc"][-1])), f" {message}"
    if fault["type"] == "missing":
        return (*where, fault["loc"][-1]), " is missing: nothing runs without it"
    for pattern, wording in REWORDED:
        message = re.sub(pattern, wording, message)
    if fault["type"] == "value_error":
        return where, f": {message}"
    plain = isinstance(fault["input"], str | int | float | bool | None)
    return where, f"={_yaml(fault['input'])} {message}" if plain else f" {message}"


def _yaml(value: str | int | float | bool | None) -> str:
    """A plain value as written in a recipe."""
    return (
        {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else repr(value)
    )


def _distinct(error: ValidationError) -> list[Any]:
    """Errors, without those that only say that a mapping is not a name."""
    faults: list[Any] = error.errors(include_url=False)
    real = [fault for fault in faults if not (fault["type"] == "string_type" and fault["loc"][-1] == "str")]
    return real or faults


def _present(loc: Sequence[str | int], data: Any) -> Where:
    """`loc` without the names that pydantic adds for the alternatives of a union."""
    where: list[str | int] = []
    for step in loc:
        inside = isinstance(data, dict) and step in data
        if inside or (isinstance(data, list) and isinstance(step, int) and step < len(data)):
            data = data[step]
            where.append(step)
    return tuple(where)

"""One line for what pydantic finds wrong: the value, the rule, and the nearest key there is."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from toolkit.parameters import alternatives

Where = tuple[str | int, ...]
"""A place in a recipe: keys and list indexes from the top."""

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


def explain(error: ValidationError, data: Any, model: type[BaseModel]) -> tuple[Where, str]:
    """Where in `data` the first fault lies and what it is, without the place."""
    faults = _distinct(error)
    where, message = _explain(faults[0], data, model)
    return where, message + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")


def _explain(fault: Any, data: Any, model: type[BaseModel]) -> tuple[Where, str]:
    where = _present(fault["loc"], data)
    if fault["type"] == "extra_forbidden":
        return where, f" is no key: {nearest(str(where[-1]), keys_at(model, where[:-1]))}"
    if fault["type"] == "missing":
        return (*where, fault["loc"][-1]), " is missing: nothing runs without it"
    message = fault["msg"]
    for pattern, wording in REWORDED:
        message = re.sub(pattern, wording, message)
    if fault["type"] == "value_error":
        return where, f": {message}"
    plain = isinstance(fault["input"], str | int | float | bool | None)
    return where, f"={_yaml(fault['input'])} {message}" if plain else f" {message}"


def _yaml(value: str | int | float | bool | None) -> str:
    """A plain value as a recipe has it."""
    return {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else repr(value)


def nearest(name: str, known: Sequence[str]) -> str:
    """`did you mean x?`, or what there is."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known)) or 'none'}"


def keys_at(model: type[BaseModel], where: Sequence[str | int]) -> list[str]:
    """The keys `model` allows at `where`."""
    kinds: list[Any] = [model]
    for step in where:
        kinds = [inner for kind in kinds for inner in _inside(kind, step)]
    return [name for kind in kinds if _is_model(kind) for name in kind.model_fields]


def _distinct(error: ValidationError) -> list[Any]:
    """Faults, less those that say only that a mapping is not the bare name it could have been."""
    faults: list[Any] = error.errors(include_url=False)
    real = [fault for fault in faults if not (fault["type"] == "string_type" and fault["loc"][-1] == "str")]
    return real or faults


def _present(loc: Sequence[str | int], data: Any) -> Where:
    """`loc` without the names pydantic adds for the alternatives of a union."""
    where: list[str | int] = []
    for step in loc:
        inside = isinstance(data, dict) and step in data
        if inside or (isinstance(data, list) and isinstance(step, int) and step < len(data)):
            data = data[step]
            where.append(step)
    return tuple(where)


def _inside(kind: Any, step: str | int) -> Iterator[Any]:
    if _is_model(kind):
        if step in kind.model_fields:
            yield from alternatives(kind.model_fields[step].annotation)
    elif get_origin(kind) in (list, dict):
        yield from alternatives(get_args(kind)[-1])


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)

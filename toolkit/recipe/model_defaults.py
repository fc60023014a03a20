"""Each entry of `models` written out: `defaults` under what it gives, and under its own `fusion` the recipe's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from toolkit.parts import Part, named
from toolkit.recipe.fusion_section import modern


def spread(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same recipe with complete entries of `models`; what is not a mapping or a list of them is left to pydantic."""
    models = values.get("models")
    if not isinstance(models, list):
        return dict(values)
    defaults, fusion = _given(values.get("defaults")), _given(values.get("fusion"))
    if isinstance(fusion, dict):
        fusion, _ = modern(fusion)  # its warning comes when the section itself is read
    return {**values, "models": [_entry(each, defaults, fusion) for each in models]}


def _entry(entry: Any, defaults: Any, fusion: Any) -> Any:
    entry = _given(entry)
    if not isinstance(entry, dict):
        return entry
    entry = _over(entry, defaults)
    own = _given(entry.get("fusion"))
    return {**entry, "fusion": _over(own, fusion)} if isinstance(own, dict) else entry


def _over(entry: dict[str, Any], under: Any) -> dict[str, Any]:
    return (
        {**entry, **{key: value for key, value in under.items() if key not in entry}}
        if isinstance(under, dict)
        else entry
    )


def _given(value: Any) -> Any:
    """A section as the mapping of what was given; the rest of it is defaults."""
    if not isinstance(value, BaseModel):
        return value
    given = {name: getattr(value, name) for name in value.model_fields_set}
    return {**given, "type": named("segue.models", value).type} if isinstance(value, Part) else given

"""Completes the entries of `models`: with `defaults`, and their own `fusion` with the recipe's."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from toolkit.parts import Part, named
from toolkit.recipe.fusion_section import modern


def spread(values: Mapping[str, object]) -> dict[str, object]:
    """The same recipe with complete entries of `models`. Values that are not mappings are left to pydantic."""
    models = values.get("models")
    if not isinstance(models, list):
        return dict(values)
    defaults, fusion = _fields(values.get("defaults")), _fields(values.get("fusion"))
    if isinstance(fusion, dict):
        fusion, _ = modern(fusion)  # the section itself gives the warning
    return {**values, "models": [_entry(each, defaults, fusion) for each in models]}


def _entry(entry: object, defaults: object, fusion: object) -> object:
    entry = _over(_fields(entry), defaults)
    if isinstance(entry, dict) and isinstance(own := _fields(entry.get("fusion")), dict):
        return {**entry, "fusion": _over(own, fusion)}
    return entry


def _over(entry: object, under: object) -> object:
    """`entry`, completed by the keys of `under` that it lacks; unchanged if one of them is not a mapping."""
    if not isinstance(entry, dict) or not isinstance(under, dict):
        return entry
    return entry | {key: value for key, value in under.items() if key not in entry}


def _fields(value: object) -> object:
    """A section as a mapping of the fields that were set; other values unchanged."""
    if not isinstance(value, BaseModel):
        return value
    fields = {name: getattr(value, name) for name in value.model_fields_set}
    return {**fields, "type": named("segue.models", value).type} if isinstance(value, Part) else fields

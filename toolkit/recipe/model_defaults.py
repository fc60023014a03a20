"""Default values for the entries of `models`, from `defaults` and from the recipe's `fusion`."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from toolkit.parts import Part, named
from toolkit.recipe.fusion_section import modern


def spread(values: Mapping[str, object]) -> dict[str, object]:
    """Return a recipe with completed entries of `models`. Values that are not mappings are unchanged."""
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
    """Return `entry` completed with missing keys from `under`, or unchanged if either is not a mapping."""
    if not isinstance(entry, dict) or not isinstance(under, dict):
        return entry
    return entry | {key: value for key, value in under.items() if key not in entry}


def _fields(value: object) -> object:
    """Return the explicitly set fields of a section as a mapping. Other values are unchanged."""
    if not isinstance(value, BaseModel):
        return value
    fields = {name: getattr(value, name) for name in value.model_fields_set}
    return {**fields, "type": named("segue.models", value).type} if isinstance(value, Part) else fields

"""Resolved recipes, with all values including defaults, as a run stores them: comparison, and earlier forms."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Collection, Mapping

from toolkit import plugins
from toolkit.errors import InputError, OldForm
from toolkit.recipe.redaction import without_secrets
from toolkit.recipe.stored_recipe import StoredEncoder, StoredRecipe
from toolkit.validation import conforms


def to_yaml(value: object) -> bytes:
    """Return a recipe as YAML, without passwords and keys."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.allow_unicode = False, True
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = io.BytesIO()
    yaml.dump(without_secrets(value), stream)
    return stream.getvalue()


def current_form(recipe: StoredRecipe) -> StoredRecipe:
    """Return a resolved recipe, perhaps of an earlier version, in the form of this version.

    The recipe is returned unchanged if this version rejects it. Installed plug-ins in the recipe are imported.
    """
    from pydantic import ValidationError

    from toolkit.recipe import Recipe

    with warnings.catch_warnings(), plugins.of_a_run():
        warnings.simplefilter("ignore", OldForm)
        try:
            resolved = Recipe.model_validate(recipe).model_dump(mode="json")
        except (InputError, ValidationError):
            return recipe
    return resolved if conforms(resolved, StoredRecipe) else recipe


def encoders_of(recipe: Mapping[str, object]) -> dict[str, StoredEncoder]:
    encoders = recipe.get("encoders")
    return encoders if conforms(encoders, dict[str, StoredEncoder]) else {}


def without_systems(recipe: Mapping[str, object], systems: Collection[str]) -> Mapping[str, object]:
    """Return a resolved recipe without the entries of these systems, or unchanged if this version rejects it."""
    from pydantic import ValidationError

    from toolkit.recipe import Recipe
    from toolkit.recipe.cross_checks import system_names

    kept = json.loads(json.dumps(recipe, default=str))
    try:
        with plugins.of_a_run():
            places = [where for where, name in system_names(Recipe.model_validate(recipe)) if name in systems]
    except (InputError, ValidationError):
        return recipe
    for *sections, place in reversed(places):  # the last entries first
        entries = kept
        for section in sections:
            entries = entries[section]
        del entries[place]
    return kept


def in_form_of(old: StoredRecipe, recipe: Mapping[str, object]) -> Mapping[str, object]:
    """Return a stored recipe in the form of `recipe`, which this version resolved.

    `defaults` are compared only through the models that contain them.
    """
    if old == recipe:
        return old
    current = current_form(old)
    return recipe if {**current, "defaults": recipe.get("defaults")} == recipe else current


def difference(old: object, new: object, where: str = "") -> str:
    """Describe the first value in which two recipes differ, or return ""."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        pairs = ((key, old.get(key), new.get(key)) for key in dict.fromkeys([*old, *new]))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = ((place, *pair) for place, pair in enumerate(zip(old, new, strict=True)))
    else:
        return "" if old == new else f"{where} was {old!r}, is {new!r}"
    return next(filter(None, (difference(a, b, f"{where}.{key}".lstrip(".")) for key, a, b in pairs)), "")

"""The JSON Schema of recipes: keys, types, bounds and descriptions for editors."""

from __future__ import annotations

from typing import Any

from toolkit import plugins, rankers
from toolkit.recipe.recipe import Recipe

PLUGINS = {("EncoderSpec", "encoder"): "segue.encoders", ("BaselineSpec", "name"): "segue.rankers", ("Data", "reader"): "segue.readers"}
"""Keys whose values are names of plug-ins; those installed stand as examples, for others may come."""


def schema() -> dict[str, Any]:
    """Draft 2020-12. What it accepts `segue validate` may still refuse: parameters of plug-ins, and keys that exclude each other."""
    made: dict[str, Any] = Recipe.model_json_schema()
    for (section, key), group in PLUGINS.items():
        made["$defs"][section]["properties"][key]["examples"] = rankers.listed() if group == rankers.GROUP else plugins.names(group)
    # `defaults` may say what an entry of `models` leaves out
    made["$defs"]["ModelSpec"]["required"] = []
    # a recipe that extends another leaves out what that one says
    made["properties"]["extends"] = {"type": "string", "description": "another recipe, of which this one has everything but what it says"}
    made["required"] = []
    made["anyOf"] = [{"required": ["data"]}, {"required": ["extends"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "segue recipe"}

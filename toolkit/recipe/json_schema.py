"""The JSON Schema of recipes: keys, types, bounds and descriptions for editors."""

from __future__ import annotations

from typing import Any

from toolkit import plugins
from toolkit.errors import SegueError
from toolkit.list_parts import parameters_of
from toolkit.recipe.recipe import Recipe

PLUGINS = {
    ("EncoderSpec", "encoder", "params"): "segue.encoders",
    ("BaselineSpec", "name", "params"): "segue.rankers",
    ("ColdSystem", "system", "params"): "segue.rankers",
    ("Data", "reader", "options"): "segue.readers",
}
"""Keys whose values are names of plug-ins, and the key beside each that holds the plug-in's parameters."""


def schema() -> dict[str, Any]:
    """Draft 2020-12. What it accepts `segue validate` may still refuse: keys that exclude each other."""
    made: dict[str, Any] = Recipe.model_json_schema()
    for (section, key, params), group in PLUGINS.items():
        _type_parameters(made, made["$defs"][section], key, params, group)
    # `defaults` may give the type that an entry of `models` leaves out
    for part in made["properties"]["models"]["items"]["anyOf"]:
        for named in part.get("allOf", [])[1:]:
            del named["required"]
    # a recipe that extends another leaves out what that one says
    made["properties"]["extends"] = {
        "type": "string",
        "description": "another recipe, of which this one has everything but what it says",
    }
    made["required"] = []
    made["anyOf"] = [{"required": ["data"]}, {"required": ["extends"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "segue recipe"}


def _type_parameters(made: dict[str, Any], section: dict[str, Any], key: str, params: str, group: str) -> None:
    """Have a section's parameters be those of the plug-in that it names; of names that are not known here anything is accepted."""
    names = plugins.names(group)
    section["properties"][key]["examples"] = names
    for name in names:
        try:
            model = parameters_of(plugins.load(group, name))
        except SegueError:
            continue  # a plug-in that does not import is no reason to have no schema
        if model is None:
            continue
        own = model.model_json_schema(ref_template="#/$defs/{model}")
        made["$defs"] |= own.pop("$defs", {})
        place = f"{group.removeprefix('segue.')}:{name}"
        made["$defs"][place] = own
        when = {"properties": {key: {"const": name}}, "required": [key]}
        section.setdefault("allOf", []).append(
            {"if": when, "then": {"properties": {params: {"$ref": f"#/$defs/{place}"}}}}
        )

"""JSON Schema of recipes, with the keys, types, bounds and descriptions for editors."""

from __future__ import annotations

from pydantic.json_schema import JsonSchemaValue

from toolkit import plugins
from toolkit.list_parts import parameters_of
from toolkit.recipe.recipe import Recipe

PLUGINS = {
    ("EncoderSpec", "encoder", "params"): "segue.encoders",
    ("BaselineSpec", "name", "params"): "segue.rankers",
    ("ColdSystem", "system", "params"): "segue.rankers",
    ("Data", "reader", "options"): "segue.readers",
}
"""Keys whose values are names of plug-ins, with the key of the plug-in's parameters, and the group of each."""


def schema() -> JsonSchemaValue:
    """Return the JSON Schema (Draft 2020-12) of recipes. `segue validate` also rejects contradictory keys."""
    whole = Recipe.model_json_schema()
    for (section, key, params), group in PLUGINS.items():
        _type_parameters(whole["$defs"], section, key, params, group)
    # `defaults` may give the type that an entry of `models` leaves out
    for part in whole["properties"]["models"]["items"]["anyOf"]:
        for named in part.get("allOf", [])[1:]:
            del named["required"]
    # a recipe may leave out what the recipe that it extends has
    whole["properties"]["extends"] = {
        "type": "string",
        "description": "another recipe, whose values this one has unless it gives its own",
    }
    whole["required"] = []
    whole["$defs"]["EncoderSpec"]["required"] = []
    alone = {"required": ["data"], "properties": {"encoders": {"additionalProperties": {"required": ["encoder"]}}}}
    whole["anyOf"] = [alone, {"required": ["extends"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole, "title": "segue recipe"}


def _type_parameters(definitions: JsonSchemaValue, section: str, key: str, params: str, group: str) -> None:
    """Add the parameters of each plug-in to a section. Unknown plug-in names accept any parameters."""
    definitions[section]["properties"][key]["examples"] = plugins.names(group)
    for name, cls in plugins.usable(group).items():
        if (model := parameters_of(cls)) is None:
            continue
        own = model.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= own.pop("$defs", {})
        place = f"{group.removeprefix('segue.')}:{name}"
        definitions[place] = own
        when = {"properties": {key: {"const": name}}, "required": [key]}
        then = {"properties": {params: {"$ref": f"#/$defs/{place}"}}}
        definitions[section].setdefault("allOf", []).append({"if": when, "then": then})

"""Command `segue schema`, which prints the JSON Schema of recipes for editors."""

from __future__ import annotations

from segue.commands.application import Debug


def schema(debug: Debug = False) -> None:
    """Print the JSON Schema of recipes, with which an editor completes keys and marks errors."""
    import json

    from toolkit.recipe.json_schema import schema as made

    print(json.dumps(made(), indent=1, ensure_ascii=False))

"""`segue validate`: check a recipe without running it."""

from __future__ import annotations

import warnings

from toolkit.cli import Debug
from toolkit.commands.run import Overrides, Recipe


def validate(recipe: Recipe, overrides: Overrides = [], debug: Debug = False) -> None:  # noqa: B006
    """Check a recipe: keys, values, names, and the parameters of every plug-in it uses."""
    from toolkit.recipe import load

    found = load(recipe, overrides, parameters=True)
    if found.data.path is not None and not found.data.path.exists():
        warnings.warn(f"{found.data.path} does not exist here: correct data.path before the run", stacklevel=2)
    print(f"{recipe} is valid: {len(found.encoders)} encoders, {len(found.models)} models, {len(found.baselines)} baselines")

"""Trials of a sweep: copies of a recipe with some values replaced."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.contracts.metric import named, selecting
from toolkit.errors import RecipeError, Where
from toolkit.parameters import nearest
from toolkit.recipe.cross_checks import system_names
from toolkit.recipe.recipe import Recipe
from toolkit.recipe.yaml_file import with_settings

SWEPT = ("models", "fusion", "encoders", "titles", "coldstart", "baselines")
"""Sections whose values a sweep may try. The others decide what is measured: trials could not be compared."""


def check(recipe: Recipe) -> None:
    """Raise `RecipeError` if the metric, the keys or the first setting of the section `sweep` are wrong."""
    sweep = recipe.sweep
    assert sweep is not None
    measured = [
        f"{name}@{k}"
        for name in selecting(recipe.evaluation.metrics)
        if named(name).cutoff == "k"
        for k in recipe.evaluation.k
    ]
    if sweep.select not in measured:
        raise RecipeError(
            f"={sweep.select!r} must be a metric that the evaluation measures: set one of {', '.join(measured)}",
            ("sweep", "select"),
        )
    if recipe.evaluation.split.each_fold():
        raise RecipeError(
            "=all can be used only with `segue run` and `segue bench`: set one fold, such as 0",
            ("evaluation", "split", "test_fold"),
        )
    for key in sweep.over:
        if key.partition(".")[0] not in SWEPT:
            raise RecipeError(f" cannot be swept: use keys in the sections {', '.join(SWEPT)}", ("sweep", "over", key))
    # report keys that do not exist before the first trial
    with_settings(recipe, sweep.first).recipe(tried=tuple(sweep.over))
    swept(recipe)


def trial(recipe: Recipe, settings: Mapping[str, object]) -> Recipe:
    """Return the checked recipe with `settings`, values by dotted key, and without its sweep. Raises `RecipeError`."""
    return with_settings(recipe, settings).recipe(parameters=True, tried=tuple(settings))


def swept(recipe: Recipe) -> Where:
    """Return the key path of the system that a sweep measures. The system name may differ between trials.

    Raises `RecipeError` if the recipe has several candidates.
    """
    sweep, places = recipe.sweep, system_names(recipe)
    assert sweep is not None
    names = [name for _, name in places]
    if sweep.system is not None:
        if sweep.system not in names:
            raise RecipeError(f"sweep.system={sweep.system!r} is not a system: {nearest(sweep.system, names)}")
        return places[names.index(sweep.system)][0]
    every = [where for where, _ in places]
    inside = [where for where in every if any(key.split(".")[: len(where)] == [*map(str, where)] for key in sweep.over)]
    candidates = inside or [where for where in every if where[0] == "models"] or every
    if len(candidates) != 1:
        raise RecipeError(f"sweep.system is missing, but the recipe has several systems: set one of {', '.join(names)}")
    return candidates[0]

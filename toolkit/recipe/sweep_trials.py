"""The trials of a sweep: a recipe with some of its values replaced."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.contracts.metric import named, selecting
from toolkit.errors import RecipeError, Where
from toolkit.parameters import nearest
from toolkit.recipe.cross_checks import fault, system_names
from toolkit.recipe.recipe import Recipe
from toolkit.recipe.yaml_file import with_settings

SWEPT = ("models", "fusion", "encoders", "titles", "coldstart", "baselines")
"""Sections whose values a sweep may try. The others decide what is measured: trials could not be compared."""


def check(recipe: Recipe) -> None:
    """Check the section `sweep`: its metric, its keys, and its first setting. Raises `RecipeError`."""
    sweep = recipe.sweep
    assert sweep is not None
    measured = [
        f"{name}@{k}"
        for name in selecting(recipe.evaluation.metrics)
        if named(name).cutoff == "k"
        for k in recipe.evaluation.k
    ]
    if sweep.select not in measured:
        raise fault(("sweep", "select"), f"={sweep.select!r} must be one of the evaluation's {', '.join(measured)}")
    if recipe.evaluation.split.each_fold():
        raise fault(
            ("evaluation", "split", "test_fold"),
            "=all is for `segue run` and `segue bench`, and a sweep is of one fold: name it",
        )
    for key in sweep.over:
        if key.partition(".")[0] not in SWEPT:
            raise fault(("sweep", "over", key), f" cannot be tried: a sweep tries values of {', '.join(SWEPT)}")
    # report keys that do not exist before the first trial
    with_settings(recipe, sweep.first).recipe(tried=tuple(sweep.over))
    swept(recipe)


def trial(recipe: Recipe, settings: Mapping[str, object]) -> Recipe:
    """The recipe without its sweep and with `settings`, values by dotted key, checked. Raises `RecipeError`."""
    return with_settings(recipe, settings).recipe(parameters=True, tried=tuple(settings))


def swept(recipe: Recipe) -> Where:
    """The place of the system that a sweep measures; its name may differ between trials.

    Raises `RecipeError` if it is not clear which system that is.
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
        raise RecipeError(f"sweep.system is missing: it says which of {', '.join(names)} is measured")
    return candidates[0]

"""Folds of a cross-validation (`evaluation.split.test_fold: all`), with a recipe for each fold.

Each fold is fitted, selected and tested separately, so no test playlist is used for training or selection. `pool_folds`
combines the folds in one table.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from toolkit.errors import InputError, RecipeError
from toolkit.pipeline.run import prepare_data, systems
from toolkit.pipeline.run.run_context import Context
from toolkit.recipe import Recipe


def by_fold(recipe: Recipe) -> dict[str, Recipe]:
    """Return a recipe for each fold, by folder name. The result is empty if `recipe` is not a cross-validation."""
    return {
        f"fold-{place}": recipe.model_copy(update={"evaluation": recipe.evaluation.model_copy(update={"split": split})})
        for place, split in enumerate(recipe.evaluation.split.each_fold())
    }


def check(context: Context, recipes: Mapping[str, Recipe], *, unchecked: Collection[str] = ()) -> None:
    """Split all folds, and check what systems require, before the first training.

    - unchecked: names of systems whose requirements are not checked.

    Raises `InputError` with the name of an impossible fold.
    """
    prepared = prepare_data.prepare(context)
    for name, recipe in recipes.items():
        fold = replace(context, recipe=recipe)
        checked = [each for each in systems.systems(fold) if each.name not in unchecked]
        try:
            prepared.check(checked, fold, context.recipe.evaluation.split, fold=name)
        except RecipeError:
            raise
        except InputError as error:
            raise type(error)(f"{name}: {error}") from None

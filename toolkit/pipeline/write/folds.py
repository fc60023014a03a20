"""Folds of a cross-validation (`evaluation.split.test_fold: all`), with a recipe for each fold.

Each fold is fitted, selected and tested separately, so no test playlist is used for training or selection. `pool_folds`
combines the folds in one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from toolkit.errors import InputError
from toolkit.pipeline.run import prepare_data
from toolkit.progress import Reporter
from toolkit.recipe import Recipe


def by_fold(recipe: Recipe) -> dict[str, Recipe]:
    """Return a recipe for each fold, by folder name. The result is empty if `recipe` is not a cross-validation."""
    return {
        f"fold-{place}": recipe.model_copy(update={"evaluation": recipe.evaluation.model_copy(update={"split": split})})
        for place, split in enumerate(recipe.evaluation.split.each_fold())
    }


def check(recipe: Recipe, recipes: Mapping[str, Recipe], cache: Path, reporter: Reporter) -> None:
    """Split all folds before the first training. Raises `InputError` with the name of an impossible fold."""
    corpus = prepare_data.read(recipe, cache, reporter).corpus
    for name, fold in recipes.items():
        try:
            fold.evaluation.split.split(corpus)
        except InputError as error:
            raise type(error)(f"{name}: {error}") from None

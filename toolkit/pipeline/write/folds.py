"""The folds of a cross-validation, `evaluation.split.test_fold: all`: a recipe for each, and whether all of them exist.

Each fold is fitted, chosen and tested by itself, so nothing of a test playlist is seen. `pool_folds` makes one table of
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from toolkit.errors import InputError
from toolkit.pipeline.run import prepare_data
from toolkit.progress import Reporter
from toolkit.recipe import Recipe


def by_fold(recipe: Recipe) -> dict[str, Recipe]:
    """A recipe of each fold by the name of its folder; empty if `recipe` is not a cross-validation over all folds."""
    recipes = {}
    for place, split in enumerate(recipe.evaluation.split.each_fold()):
        evaluation = recipe.evaluation.model_copy(update={"split": split})
        recipes[f"fold-{place}"] = recipe.model_copy(update={"evaluation": evaluation})
    return recipes


def check(recipe: Recipe, recipes: Mapping[str, Recipe], cache: Path, reporter: Reporter) -> None:
    """Split all folds before the first is trained. Raises `InputError` that names the fold with an impossible split."""
    corpus = prepare_data.read(recipe, cache, reporter).corpus
    for name, fold in recipes.items():
        try:
            fold.evaluation.split.split(corpus)
        except InputError as error:
            raise type(error)(f"{name}: {error}") from None

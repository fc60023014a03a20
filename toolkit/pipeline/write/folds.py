"""The folds of a cross-validation, `evaluation.split.test_fold: all`: a recipe for each, and whether all of them can be dealt.

Each fold is fitted, chosen and tested by itself, so that nothing of a test playlist is seen; `joint.py` makes one table of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from toolkit.errors import InputError
from toolkit.ingest import read_data as ingest
from toolkit.pipeline.run import systems
from toolkit.progress import Reporter
from toolkit.recipe import Recipe


def dealt(recipe: Recipe) -> dict[str, Recipe]:
    """A recipe of each fold by the name of its folder, where `recipe` asks for all of them; else nothing."""
    found = {}
    for place, split in enumerate(recipe.evaluation.split.each_fold()):
        evaluation = recipe.evaluation.model_copy(update={"split": split})
        found[f"fold-{place}"] = recipe.model_copy(update={"evaluation": evaluation})
    return found


def check(recipe: Recipe, each: Mapping[str, Recipe], cache: Path, reporter: Reporter) -> None:
    """Deal all folds before the first is trained. Raises `InputError` that names the fold whose split cannot be."""
    reporter.stage("ingest")
    corpus = ingest.ingest(recipe.data, cache, reporter=reporter, described=systems.described(recipe)).corpus
    for name, one in each.items():
        try:
            one.evaluation.split.split(corpus)
        except InputError as error:
            raise type(error)(f"{name}: {error}") from None

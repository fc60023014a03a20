"""Reproduces a finished run from its own directory without any cache, and compares the results."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from toolkit import run_directory
from toolkit.errors import RunDirectoryError
from toolkit.files import digest, read_json
from toolkit.pipeline.programs.compare_runs import Change, changes
from toolkit.pipeline.run.run_recipe import FINISHED
from toolkit.pipeline.run.run_recipe import run as run_recipe
from toolkit.progress import Reporter
from toolkit.recipe import Recipe
from toolkit.recipe.yaml_file import read
from toolkit.result_types import MetricRow
from toolkit.run_directory import RunDirectory

CACHE = "cache"
"""Folder of the new run for its encodings; it is deleted when the run is finished."""

_FINISHED = f"{run_directory.STAGES}/{FINISHED}.json"


@dataclass(frozen=True)
class Reproduction:
    """A finished run compared with its reproduction.

    - same: whether `metrics.json` is the same to the byte.
    - manifest: other changes: versions, machine, code, data.
    - metrics: the values that differ, by `system split slice metric@k`.
    """

    same: bool
    manifest: list[Change]
    metrics: list[Change]


def reproduce(directory: Path, out: Path, *, progress: Reporter | None = None) -> Reproduction:
    """Run the recipe of a finished run again in `out`, and compare the two. A killed try resumes where it stopped.

    Corpus and encodings are recomputed.

    Raises `RunDirectoryError` if `directory` is not a finished run or its recipe was changed, and if `out` belongs to
    another run or holds a finished one, whose numbers would be taken for new ones.
    """
    old, new = RunDirectory(directory), RunDirectory(out)
    if not old.path(run_directory.METRICS).exists():
        raise RunDirectoryError(
            f"{directory} has no {run_directory.METRICS}, so it is not a finished run: segue run its recipe to the end"
        )
    if out.resolve() == directory.resolve():
        raise RunDirectoryError(f"{out} is the run itself: choose another --out")
    if new.path(_FINISHED).exists():
        raise RunDirectoryError(
            f"{out} holds a finished run: delete it, or choose another --out, so that the numbers are recomputed"
        )
    if outside := [fold for fold in old.folds() if directory.resolve() not in fold.resolve().parents]:
        raise RunDirectoryError(
            f"{directory} pools a bench of folds, each with its own settings: reproduce one, such as {outside[0]}"
        )
    recipe, cache = _recipe(old), out / CACHE
    run_recipe(recipe, out, progress=progress, cache=cache)
    shutil.rmtree(cache, ignore_errors=True)
    same = old.path(run_directory.METRICS).read_bytes() == new.path(run_directory.METRICS).read_bytes()
    before, after = (
        {_key(row): [row["value"], row["ci_low"], row["ci_high"]] for row in each.read(run_directory.METRICS)}
        for each in (old, new)
    )
    return Reproduction(
        same,
        list(changes(old.read(run_directory.MANIFEST), new.read(run_directory.MANIFEST))),
        list(changes(before, after)),
    )


def _recipe(run: RunDirectory) -> Recipe:
    """The recipe of the run.

    Raises `RunDirectoryError` if its file was changed since, `RecipeError` if it is invalid.
    """
    stored = run_directory.read_recipe(run.root)
    if run.path(_FINISHED).exists() and read_json(run.path(_FINISHED))["inputs"] != digest(stored):
        raise RunDirectoryError(
            f"{run.path(run_directory.RECIPE)} was changed after the run was finished: "
            "put it back, or `segue run` it with an --out of its own"
        )
    return read(run.path(run_directory.RECIPE)).recipe()


def _key(row: MetricRow) -> str:
    return f"{row['system']} {row['split']} {row['slice']} {row['metric']}@{row['k']}"

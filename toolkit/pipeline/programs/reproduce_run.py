"""Reproduction of a finished run from its own directory without a cache, and comparison of the results."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from toolkit import plugins, run_directory
from toolkit.errors import RunDirectoryError
from toolkit.files import digest, read_json, write_json
from toolkit.pipeline.programs.compare_runs import Change, changes
from toolkit.pipeline.run import run_recipe
from toolkit.progress import Reporter
from toolkit.recipe import Recipe
from toolkit.recipe.yaml_file import read
from toolkit.result_types import MetricRow

CACHE = "cache"
"""Folder of the new run for its encodings; it is deleted when the run is finished."""

_FINISHED = f"{run_directory.STAGES}/{run_recipe.FINISHED}.json"
_RECOMPUTED = f"{run_directory.STAGES}/reproduction.json"
"""File of a finished reproduction, written before its cache is deleted: a command killed at its end can be repeated."""


@dataclass(frozen=True)
class Reproduction:
    """Comparison of a finished run with its reproduction.

    - same: whether both `metrics.json` are identical to the byte.
    - manifest: changes in versions, machine, code and data.
    - metrics: differing values, by `system split slice metric@k`.
    - failed: reason for each system that failed in the reproduction, by name.
    """

    same: bool
    manifest: list[Change]
    metrics: list[Change]
    failed: dict[str, str]


@plugins.of_a_run()
def reproduce(directory: Path, out: Path, *, progress: Reporter | None = None) -> Reproduction:
    """Run the recipe of a finished run again in `out`, and compare both runs.

    An interrupted reproduction is resumed, and a finished one compared again. Corpus and encodings are recomputed.

    Raises `RunDirectoryError` if `directory` is not a finished run, if its recipe was changed, or if `out` belongs to
    another run or holds a finished run that is not a reproduction, because then the numbers would not be recomputed.
    """
    old, new = run_directory.RunDirectory(directory), run_directory.RunDirectory(out)
    if not old.path(run_directory.METRICS).exists():
        raise RunDirectoryError(
            f"{directory} has no {run_directory.METRICS}, so the run is not finished: `segue run` the recipe again"
        )
    if out.resolve() == directory.resolve():
        raise RunDirectoryError(f"{out} must differ from the folder of the run: pass a different --out")
    recomputed = new.path(_RECOMPUTED).exists() or (out / CACHE).exists()
    if new.path(_FINISHED).exists() and not recomputed:
        raise RunDirectoryError(
            f"{out} must not hold a finished run, because all numbers are recomputed: delete {out}, or pass a"
            " different --out"
        )
    if outside := [fold for fold in old.folds() if directory.resolve() not in fold.resolve().parents]:
        raise RunDirectoryError(
            f"{directory} pools the folds of a bench, which have different settings: reproduce a single fold,"
            f" such as {outside[0]}"
        )
    recipe, cache = _recipe(old), out / CACHE
    failed = run_recipe.run(recipe, out, progress=progress, cache=cache).failed
    write_json(new.path(_RECOMPUTED), {})
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
        failed,
    )


def _recipe(run: run_directory.RunDirectory) -> Recipe:
    """Return the recipe of a run.

    Raises `RunDirectoryError` if the recipe file was changed after the run, `RecipeError` if the recipe is invalid.
    """
    stored = run_directory.read_recipe(run.root)
    if run.path(_FINISHED).exists() and read_json(run.path(_FINISHED))["inputs"] != digest(stored):
        raise RunDirectoryError(
            f"{run.path(run_directory.RECIPE)} was changed after the run was finished: "
            "restore the recipe, or `segue run` the changed recipe with a different --out"
        )
    return read(run.path(run_directory.RECIPE)).recipe()


def _key(row: MetricRow) -> str:
    return f"{row['system']} {row['split']} {row['slice']} {row['metric']}@{row['k']}"

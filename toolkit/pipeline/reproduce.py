"""A finished run made again from its own directory, with nothing taken from a cache, and held against it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit import runs
from toolkit.errors import RunDirectoryError
from toolkit.pipeline.compare import Change, changes
from toolkit.pipeline.order import run as run_recipe
from toolkit.progress import Reporter
from toolkit.recipe import Recipe
from toolkit.runs import RunDirectory

CACHE = "cache"
"""Folder of the new run for what it encodes; it goes when the run is finished."""


@dataclass(frozen=True)
class Reproduction:
    """same: whether `metrics.json` is the same to the byte. manifest: what else was other than then (versions, machine, code, data).

    metrics: the values that differ, by `system split slice metric@k`.
    """

    same: bool
    manifest: list[Change]
    metrics: list[Change]


def reproduce(directory: Path, out: Path, *, progress: Reporter | None = None) -> Reproduction:
    """Run the recipe of a finished run again in `out` and compare; a killed try goes on where it stopped.

    Corpus and encodings are made anew. Raises `RunDirectoryError` where `directory` is no finished run or `out` is another's.
    """
    old, new = RunDirectory(directory), RunDirectory(out)
    if not old.path(runs.METRICS).exists():
        raise RunDirectoryError(f"{directory} has no {runs.METRICS}, so it is no finished run: segue run its recipe to the end")
    if out.resolve() == directory.resolve():
        raise RunDirectoryError(f"{out} is the run itself: choose another --out")
    cache = out / CACHE
    recipe = Recipe.model_validate(runs.read_recipe(directory))
    run_recipe(recipe, out, progress=progress, cache=cache)
    shutil.rmtree(cache, ignore_errors=True)
    same = old.path(runs.METRICS).read_bytes() == new.path(runs.METRICS).read_bytes()
    before, after = ({_key(row): [row["value"], row["ci_low"], row["ci_high"]] for row in each.read(runs.METRICS)} for each in (old, new))
    return Reproduction(same, list(changes(old.read(runs.MANIFEST), new.read(runs.MANIFEST))), list(changes(before, after)))


def _key(row: dict[str, Any]) -> str:
    return f"{row['system']} {row['split']} {row['slice']} {row['metric']}@{row['k']}"

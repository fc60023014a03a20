"""Searches a recipe's settings on validation. Each trial is trained and kept, the best is written as a recipe.

Nothing is evaluated on test.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypedDict

import numpy as np

from toolkit import run_directory
from toolkit.errors import InputError
from toolkit.files import digest, write_bytes
from toolkit.pipeline.programs.search_strategies import SEARCHES
from toolkit.pipeline.run import fit_systems, prepare_data, systems
from toolkit.pipeline.run.prepare_data import Prepared
from toolkit.pipeline.run.run_context import Context, LoggedReporter, opened
from toolkit.pipeline.write import tensorboard_log
from toolkit.progress import Reporter
from toolkit.recipe import Recipe, unused_settings
from toolkit.recipe.cross_checks import system_names
from toolkit.recipe.sweep_trials import swept, trial
from toolkit.result_types import Settings
from toolkit.run_directory import RunDirectory
from toolkit.seeds import derived_seed
from toolkit.source_code import package_source

TABLE, BEST = "sweep.json", "best.yaml"


class Reached(TypedDict):
    """What a trial reached. value: mean of `select` over the validation playlists."""

    value: float
    epochs: int
    underfit: bool
    seconds: float


class Trial(Reached):
    """A row of `sweep.json`."""

    number: int
    settings: Settings


class SweepResult(TypedDict):
    """The content of `sweep.json`. best: number of the best trial."""

    sweep: str
    search: str
    select: str
    system: str
    trials: list[Trial]
    best: int


def sweep(recipe: Recipe, out: Path, *, progress: Reporter | None = None, cache: Path | None = None) -> SweepResult:
    """Try the settings that `recipe.sweep` names, and write the best as `best.yaml`.

    Returns the content of `sweep.json`.

    The system is trained on the training split and measured on validation; `segue run` of the best recipe evaluates it
    on test, once. A killed call keeps the finished trials and resumes inside the unfinished one.

    Raises `InputError` for a recipe without a sweep, and for settings that cannot be used together.
    """
    spec = recipe.sweep
    if spec is None:
        raise InputError(f"{recipe.name} has no sweep: give it `sweep: {{over: {{models.0.lr: [0.001, 0.002]}}}}`")
    if spec.search == "grid":  # an impossible combination is reported before the first trial
        for settings in SEARCHES["grid"](spec, 0):
            trial(recipe, settings)
    with RunDirectory.claim(Path(out), recipe.model_dump(mode="json")) as directory:
        reporter = LoggedReporter(directory, progress or Reporter())
        with opened(recipe, directory, progress=reporter, cache=cache) as context:
            result = _search(prepare_data.prepare(context))
        best = max(result["trials"], key=lambda row: row["value"])
        chosen = unused_settings.cleared(trial(recipe, best["settings"])).model_copy(
            update={"name": f"{recipe.name}-best"}
        )
        write_bytes(directory.path(BEST), run_directory.to_yaml(chosen.model_dump(mode="json")))
        return result


def _search(prepared: Prepared) -> SweepResult:
    """Run every trial, and write the table after each."""
    context, recipe, spec = prepared.context, prepared.context.recipe, prepared.context.recipe.sweep
    assert spec is not None
    where = swept(recipe)
    result: SweepResult = {
        "sweep": recipe.name,
        "search": spec.search,
        "select": f"valid {spec.select}",
        "system": dict(system_names(recipe))[where],
        "trials": [],
        "best": 0,
    }
    rows = result["trials"]
    search = SEARCHES[spec.search](spec, derived_seed(recipe.seed, "sweep"))
    settings: Settings | None = next(search, None)
    while settings is not None:
        tried, key = trial(recipe, settings), digest(settings)[:16]
        context.reporter.stage(f"trial {len(rows) + 1}: {in_words(settings)}")
        system = dict(system_names(tried))[where]
        inputs = {
            "recipe": tried.model_dump(mode="json"),
            "system": system,
            "select": spec.select,
            "data": prepared.ingested.key,
            "device": context.device,
            "code": package_source(),
        }
        make = partial(_measured, prepared, tried, system, spec.select, key)
        reached = context.run.stage(f"trial-{key}", inputs, make)
        rows.append({"number": len(rows) + 1, "settings": settings, **reached})
        result["best"] = max(rows, key=lambda row: row["value"])["number"]
        context.run.write(TABLE, result)
        try:
            settings = search.send(reached["value"])
        except StopIteration:
            settings = None
    return result


def _measured(
    prepared: Prepared, tried: Recipe, name: str, select: str, key: str, workdir: Path
) -> tuple[Sequence[Path], Reached]:
    """What a trial reaches on validation. Its training is kept until then, in case of a kill, and no longer."""
    started, sweep = time.perf_counter(), prepared.context
    (workdir / "run").mkdir(exist_ok=True)
    context = Context(tried, RunDirectory(workdir / "run"), sweep.cache, sweep.reporter, sweep.device)
    system = next(system for system in systems.systems(context) if system.name == name)
    material = prepared.gather([*system.over, system], context)
    if missing := material.missing_paths(system):
        raise InputError(f"{name} has no pretrained weights: give {', '.join(missing)}")
    for each in (*system.over, system):
        fitted = fit_systems.fit(context, each, material)
    scores = fit_systems.score(context, system, material, "valid")[0]
    tensorboard_log.log(sweep.run, f"trial-{key}", fitted["curve"])
    metric, _, k = select.partition("@")
    return [], {
        "value": round(float(np.nanmean(scores.values["all", metric, int(k)])), 8),
        "epochs": len(fitted["curve"]),
        "underfit": fitted["underfit"],
        "seconds": round(time.perf_counter() - started, 1),
    }


def in_words(settings: Settings) -> str:
    """`models.0.lr=0.001, models.0.dropout=0.2`, with numbers to four digits."""
    return ", ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in settings.items()
    )

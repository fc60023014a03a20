"""Search for recipe settings on validation playlists.

Each trial is trained and kept, and the best trial is written as a recipe. Test playlists are not used.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import numpy as np

from toolkit import run_directory
from toolkit.errors import InputError, Where
from toolkit.files import digest, write_bytes
from toolkit.pipeline.programs.search_strategies import SEARCHES
from toolkit.pipeline.run import fit_systems, prepare_data, systems
from toolkit.pipeline.run.run_context import Context, LoggedReporter, opened
from toolkit.pipeline.run.system_failures import Failures
from toolkit.pipeline.write import tensorboard_log
from toolkit.progress import Reporter
from toolkit.recipe import Recipe, resolved_recipes, unused_settings
from toolkit.recipe.cross_checks import system_names
from toolkit.recipe.redaction import without_secrets
from toolkit.recipe.sweep_trials import swept, trial
from toolkit.result_types import Settings
from toolkit.seeds import derived_seed
from toolkit.source_code import sources

TABLE, BEST = "sweep.json", "best.yaml"


class Reached(TypedDict):
    """Result of a trial. value: mean of `select` over the validation playlists; None for a trial that failed."""

    value: float | None
    epochs: int
    underfit: bool
    seconds: float


class Trial(Reached):
    """Row of `sweep.json`. failed: why the trial failed."""

    number: int
    settings: Settings
    failed: NotRequired[str]


NOT_MEASURED: Reached = {"value": None, "epochs": 0, "underfit": False, "seconds": 0.0}


class SweepResult(TypedDict):
    """Content of `sweep.json`. best: number of the best trial."""

    sweep: str
    search: str
    select: str
    system: str
    trials: list[Trial]
    best: int


def sweep(recipe: Recipe, out: Path, *, progress: Reporter | None = None, cache: Path | None = None) -> SweepResult:
    """Run the trials of `recipe.sweep`, write the best as `best.yaml`, and return the content of `sweep.json`.

    Each trial is trained on the training split and measured on validation. `segue run` with the best recipe evaluates
    the system on test once. If a trial fails, its row has the reason, and the same call tries it again. An interrupted
    sweep keeps finished trials and resumes the unfinished trial.

    Raises `InputError` for a recipe without a sweep, and for incompatible settings.
    """
    spec = recipe.sweep
    if spec is None:
        raise InputError(
            f"{recipe.name} has no section `sweep`: add `sweep: {{over: {{models.0.lr: [0.001, 0.002]}}}}`"
        )
    if spec.search == "grid":  # an impossible combination is reported before the first trial
        for settings in SEARCHES["grid"](spec, 0):
            trial(recipe, settings)
    with run_directory.RunDirectory.claim(Path(out), recipe.model_dump(mode="json")) as directory:
        reporter = LoggedReporter(directory, progress or Reporter())
        with opened(recipe, directory, progress=reporter, cache=cache) as context:
            result = _search(prepare_data.prepare(context))
        best = result["trials"][result["best"] - 1]
        chosen = unused_settings.cleared(trial(recipe, best["settings"])).model_copy(
            update={"name": f"{recipe.name}-best"}
        )
        write_bytes(directory.path(BEST), resolved_recipes.to_yaml(chosen.model_dump(mode="json")))
        return result


def _search(prepared: prepare_data.Prepared) -> SweepResult:
    """Run all trials, and write the table after each trial."""
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
    rows, failures = result["trials"], Failures(context)
    search = SEARCHES[spec.search](spec, derived_seed(recipe.seed, "sweep"))
    settings: Settings | None = next(search, None)
    while settings is not None:
        context.reporter.stage(f"trial {len(rows) + 1}: {in_words(settings)}")
        number, reached = len(rows) + 1, NOT_MEASURED
        with failures.of(f"trial {number}"):
            reached = _reached(prepared, settings, where)
        why = failures.reasons.get(f"trial {number}")
        failed: dict[str, str] = {} if why is None else {"failed": why}
        row = cast(Trial, {"number": number, "settings": settings, **reached, **failed})
        rows.append(row)
        result["best"] = max(rows, key=lambda row: -math.inf if row["value"] is None else row["value"])["number"]
        context.run.write(TABLE, result)
        try:
            settings = search.send(row["value"])
        except StopIteration:
            settings = None
    if failures.first is not None and len(failures.reasons) == len(rows):
        raise failures.first
    return result


def _reached(prepared: prepare_data.Prepared, settings: Settings, where: Where) -> Reached:
    """Return the result of a trial, which is measured unless it is finished. where: key path of the system."""
    context, recipe, spec = prepared.context, prepared.context.recipe, prepared.context.recipe.sweep
    assert spec is not None
    tried, key = trial(recipe, settings), digest(settings)[:16]
    system = dict(system_names(tried))[where]
    inputs = {
        "recipe": without_secrets(tried.model_dump(mode="json")),
        "system": system,
        "select": spec.select,
        "data": prepared.ingested.key,
        "sources": sources(tried.model_dump(mode="json")),
    }
    return context.run.stage(
        f"trial-{key}", context.inputs(**inputs), partial(_measured, prepared, tried, system, spec.select, key)
    )


def _measured(
    prepared: prepare_data.Prepared, tried: Recipe, name: str, select: str, key: str, workdir: Path
) -> tuple[Sequence[Path], Reached]:
    """Return the validation result of a trial. Checkpoints of the training are deleted afterwards."""
    started, sweep = time.perf_counter(), prepared.context
    (workdir / "run").mkdir(exist_ok=True)
    context = Context(tried, run_directory.RunDirectory(workdir / "run"), sweep.cache, sweep.reporter, sweep.device)
    system = next(system for system in systems.systems(context) if system.name == name)
    material = prepared.gather([*system.over, system], context)
    if missing := material.missing_paths(system):
        raise InputError(f"{name} requires pretrained weights: download the weights, and set {', '.join(missing)}")
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
    """Return settings as text, such as `models.0.lr=0.001, models.0.dropout=0.2`, with four significant digits."""
    return ", ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in settings.items()
    )

"""A recipe's settings searched on validation: each trial trained and kept, the best written as a recipe. Test is never asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import run_directory
from toolkit.errors import InputError
from toolkit.files import digest, write_bytes
from toolkit.ingest import read_data as ingest
from toolkit.ingest.read_data import Ingested
from toolkit.pipeline.programs.search_strategies import SEARCHES, Settings
from toolkit.pipeline.run import collect_stage, fit_systems, run_recipe, systems
from toolkit.pipeline.run.run_context import Context, LoggedReporter
from toolkit.pipeline.write import tensorboard_log
from toolkit.progress import Reporter
from toolkit.recipe import Recipe, unused_settings
from toolkit.recipe.cross_checks import system_names
from toolkit.recipe.sweep_trials import swept, trial
from toolkit.run_directory import RunDirectory
from toolkit.seeds import derived_seed
from toolkit.source_code import package_source

TABLE, BEST = "sweep.json", "best.yaml"


def sweep(recipe: Recipe, out: Path, *, progress: Reporter | None = None, cache: Path | None = None) -> dict[str, Any]:
    """Try the settings that `recipe.sweep` names; returns the content of `sweep.json`, and writes the best as `best.yaml`.

    sweep.json: sweep, search, select, system, trials (number, settings, value, epochs, underfit, seconds), best (a number).
    A killed call keeps the finished trials and goes on inside the one that was under way. The system is trained on the
    training split and measured on validation; `segue run` of the best recipe asks test, once. Raises `InputError` for
    a recipe without a sweep, and for settings that cannot be used together.
    """
    spec = recipe.sweep
    if spec is None:
        raise InputError(f"{recipe.name} has no sweep: give it `sweep: {{over: {{models.0.lr: [0.001, 0.002]}}}}`")
    if spec.search == "grid":  # a combination that cannot be is told before the first is trained
        for settings in SEARCHES["grid"](spec, 0):
            trial(recipe, settings)
    with (
        RunDirectory.claim(Path(out), recipe.model_dump(mode="json")) as directory,
        run_recipe._threads(recipe.threads),
    ):
        context = run_recipe.context_of(recipe, directory, cache, LoggedReporter(directory, progress or Reporter()))
        context.reporter.stage("ingest")
        ingested = ingest.ingest(
            recipe.data, context.cache, reporter=context.reporter, described=systems.described(recipe)
        )
        ingested = collect_stage.collected(recipe, ingested, context.reporter)
        found = _searched(context, ingested)
        best = max(found["trials"], key=lambda row: row["value"])
        chosen = unused_settings.cleared(trial(recipe, best["settings"])).model_copy(
            update={"name": f"{recipe.name}-best"}
        )
        write_bytes(directory.path(BEST), run_directory.to_yaml(chosen.model_dump(mode="json")))
        return found


def _searched(context: Context, ingested: Ingested) -> dict[str, Any]:
    """Every trial, the table written after each."""
    recipe, spec = context.recipe, context.recipe.sweep
    assert spec is not None
    where = swept(recipe)
    rows: list[dict[str, Any]] = []
    name = dict(system_names(recipe))[where]
    search = SEARCHES[spec.search](spec, derived_seed(recipe.seed, "sweep"))
    settings: Settings | None = next(search, None)
    while settings is not None:
        tried = trial(recipe, settings)
        context.reporter.stage(f"trial {len(rows) + 1}: {told(settings)}")
        system = dict(system_names(tried))[where]
        inputs = {
            "recipe": tried.model_dump(mode="json"),
            "system": system,
            "select": spec.select,
            "data": ingested.key,
        }
        key = digest(settings)[:16]
        made = context.run.stage(
            f"trial-{key}",
            {**inputs, "device": context.device, "code": package_source()},
            partial(_measured, context, tried, ingested, system, spec.select, key),
        )
        rows.append({"number": len(rows) + 1, "settings": settings, **made})
        best = max(rows, key=lambda row: row["value"])["number"]
        found = {
            "sweep": recipe.name,
            "search": spec.search,
            "select": f"valid {spec.select}",
            "system": name,
            "trials": rows,
        }
        context.run.write(TABLE, {**found, "best": best})
        try:
            settings = search.send(rows[-1]["value"])
        except StopIteration:
            settings = None
    result: dict[str, Any] = context.run.read(TABLE)
    return result


def _measured(
    context: Context, tried: Recipe, ingested: Ingested, name: str, select: str, key: str, workdir: Path
) -> tuple[Sequence[Path], dict[str, Any]]:
    """Mean of `select` over the validation playlists. What was trained is kept until then, for a kill, and no longer."""
    started = time.perf_counter()
    (workdir / "run").mkdir(exist_ok=True)
    own = Context(tried, RunDirectory(workdir / "run"), context.cache, context.reporter, context.device)
    system = next(system for system in systems.systems(own) if system.name == name)
    material = run_recipe.gathered(own, ingested, [*system.over, system])[0]
    if lacking := material.lacks(system):
        raise InputError(f"{name} has no pretrained weights: give {', '.join(lacking)}")
    for each in (*system.over, system):
        fitted = fit_systems.fit(own, each, material)
    scores = fit_systems.score(own, system, material, "valid")[0]
    tensorboard_log.log(context.run, f"trial-{key}", fitted["curve"])
    metric, _, k = select.partition("@")
    value = round(float(np.nanmean(scores.values["all", metric, int(k)])), 8)
    about = {
        "epochs": len(fitted["curve"]),
        "underfit": fitted["underfit"],
        "seconds": round(time.perf_counter() - started, 1),
    }
    return [], {"value": value, **about}


def told(settings: Settings) -> str:
    """`models.0.lr=0.001, models.0.dropout=0.2`; numbers to four digits."""
    return ", ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in settings.items()
    )

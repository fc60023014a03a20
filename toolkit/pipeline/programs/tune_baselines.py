"""Comparison of baselines that are tuned on validation with equal budgets and then run as a recipe."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import NotRequired, TypedDict

from toolkit import plugins, run_directory
from toolkit.contracts import metric as contract
from toolkit.errors import InputError, RunDirectoryError
from toolkit.pipeline.run import fit_systems, prepare_data, run_recipe, system_failures, systems
from toolkit.pipeline.run.meter import metered
from toolkit.pipeline.run.run_context import Context, LoggedReporter, opened
from toolkit.pipeline.write import folds, pool_folds
from toolkit.pipeline.write.write_results import Results
from toolkit.progress import Reporter
from toolkit.ranker import Ranker
from toolkit.ranker_registry import listed, ranker_class
from toolkit.recipe import BaselineSpec, ModelSpec, Recipe
from toolkit.recipe.cross_checks import unfit
from toolkit.report.result_tables import Column
from toolkit.result_types import ComparisonRow, DataFacts, Manifest, Settings, Timing

TUNING, RUN = "tuning", "run"
KINDS = {"all": ("baseline", "neural"), "cheap": ("baseline",)}


class TriedSetting(TypedDict):
    """Setting of a baseline, its validation value, and the seconds for fitting and ranking.

    - fold: the fold of the trial, if there are several folds.
    - value: mean of the tuning metric over the validation playlists; None for a setting that failed.
    - failed: why the setting failed.
    """

    fold: NotRequired[int]
    params: Settings
    value: float | None
    seconds: float
    failed: NotRequired[str]


class BenchRow(Timing):
    """System in a bench. values: the value and the bounds of its interval, by `split slice metric@k`."""

    system: str
    params: Settings
    tried: list[TriedSetting]
    values: dict[str, list[float | None]]


class BenchResult(TypedDict):
    """Table of a bench, with the systems from best to worst and the settings of the bench.

    failed: reason for each system that failed with its best setting, or with all settings.
    """

    bench: str
    tuned_for: str
    budget: int
    data: DataFacts
    comparisons: list[ComparisonRow]
    manifest: Manifest
    machine: dict[str, float | None]
    rows: list[BenchRow]
    failed: dict[str, str]


@dataclass(frozen=True)
class Tuning:
    """Settings for tuning baselines.

    - metric, k: the tuning metric; k is 0 for a metric without a cutoff.
    - budget: number of settings tried for each baseline.
    - max_seconds: time limit for training a neural baseline.
    """

    metric: str
    k: int
    budget: int
    max_seconds: float
    progress: Reporter
    cache: Path | None = None

    @property
    def key(self) -> str:
        return Column(self.metric, self.k or None).key


@dataclass(frozen=True)
class Tuned:
    """Baseline with its best setting. tried: all tried settings; empty for a baseline with a single setting."""

    spec: BaselineSpec
    tried: list[TriedSetting]


def bench(
    recipe: Recipe,
    out: Path,
    *,
    baselines: Sequence[str] = ("all",),
    models: Sequence[str] = (),
    select: str | None = None,
    budget: int = 6,
    max_seconds: float = 3600.0,
    progress: Reporter | None = None,
    cache: Path | None = None,
) -> BenchResult:
    """Tune `baselines` on validation, and run the best settings with the recipe's `models` of the given names.

    - baselines: names, `all`, or `cheap` for all but the neural baselines.
    - select: tuning metric; default: recall@50 if it is measured.
    - budget: number of settings tried for each baseline.
    - max_seconds: time limit for training a neural baseline, which is then marked underfit.

    A setting that fails is not chosen. A baseline that fails with its best setting is listed in `failed`, and the same
    call tries it again. An interrupted bench is resumed. With `test_fold: all` each fold has its own settings and its
    own run, and the table pools all playlists.

    Raises `InputError` for unknown names, and for baselines that require other data.
    """
    if budget < 1:
        raise InputError(f"budget={budget} must be >= 1: raise the number of settings tried for each baseline")
    names, reporter = _names(baselines, recipe), progress or Reporter()
    tuning = Tuning(*_target(select, recipe), budget, max_seconds, reporter, cache)
    plain = recipe.model_copy(
        update={
            "models": _models(recipe, models),
            "baselines": (untuned := [BaselineSpec(name=name) for name in names]),
            "sweep": None,
        }
    )
    whole = run_directory.RunDirectory(out / RUN)
    if not (by_fold := folds.by_fold(plain)):
        if whole.path(run_directory.FOLDS).exists():
            raise RunDirectoryError(
                f"{whole.root} is a bench over several folds: pass a different --out, or delete that folder"
            )
        tuned, results = _tune_and_run(plain, out, tuning)
    else:
        whole.check(plain.model_dump(mode="json"))
        with opened(plain, whole, progress=reporter, cache=cache) as context:
            # tuning leaves out the baselines that cannot be fitted
            folds.check(context, by_fold, unchecked=[spec.system_name for spec in untuned])
        tuned_by_fold = []
        for name, fold in by_fold.items():
            reporter.stage(name)
            tuned_by_fold.append(_tune_and_run(fold, out / name, tuning)[0])
        tuned = _of_all_folds(tuned_by_fold)
        with run_directory.RunDirectory.claim(whole.root, plain.model_dump(mode="json")) as pooled:
            results = pool_folds.pool(
                plain, {name: run_directory.RunDirectory(out / name / RUN) for name in by_fold}, pooled, reporter
            )
    return _result(recipe, whole, results, tuned, tuning)


def _tune_and_run(recipe: Recipe, out: Path, tuning: Tuning) -> tuple[list[Tuned], Results]:
    tuned = tune(recipe, out / TUNING, tuning)
    best = recipe.model_copy(update={"baselines": [each.spec for each in tuned]})
    return tuned, run_recipe.run(best, out / RUN, progress=tuning.progress, cache=tuning.cache)


def _of_all_folds(tuned: Sequence[Sequence[Tuned]]) -> list[Tuned]:
    """Return each baseline with the settings from all folds. A setting that differs between folds is a list by fold."""
    pooled, by_name = [], [{each.spec.name: each for each in fold} for fold in tuned]
    for name in by_name[0]:
        if not all(name in fold for fold in by_name):
            continue  # a fold had no data for it, and noted that
        of_folds = [fold[name] for fold in by_name]
        params = [each.spec.params for each in of_folds]
        keys = dict.fromkeys(key for values in params for key in values)
        by_fold = {key: [values.get(key, "default") for values in params] for key in keys}
        shared = {
            key: values[0] if all(value == values[0] for value in values) else values for key, values in by_fold.items()
        }
        tried: list[TriedSetting] = [
            {"fold": place, **row} for place, each in enumerate(of_folds) for row in each.tried
        ]
        pooled.append(Tuned(of_folds[0].spec.model_copy(update={"params": shared}), tried))
    return pooled


def tune(recipe: Recipe, out: Path, tuning: Tuning) -> list[Tuned]:
    """Return the best setting of each baseline in the recipe on the validation playlists.

    Baselines that cannot be fitted to the data are left out with a note.
    """
    progress, specs = tuning.progress, [spec for spec in recipe.baselines if isinstance(spec, BaselineSpec)]
    with (
        run_directory.RunDirectory.claim(out, recipe.model_dump(mode="json")) as directory,
        opened(recipe, directory, progress=LoggedReporter(directory, progress), cache=tuning.cache) as context,
    ):
        names, left_out = [spec.system_name for spec in specs], dict[str, str]()
        prepared, every = prepare_data.prepare(context), systems.systems(context)
        others = [system for system in every if system.name not in names]
        prepared.check(others, context, recipe.evaluation.split)
        material = prepared.gather([system for system in every if system.name in names], left_out=left_out)
        tuned = []
        for spec in specs:
            if why := left_out.get(spec.system_name):
                progress.note(f"{spec.name} is left out: {why}")
                continue
            progress.stage(f"tune {spec.name}")
            tuned.append(_tuned(context, material, ranker_class(spec.name), spec, tuning))
        return tuned


def settings(cls: type[Ranker], budget: int, seed: int) -> list[Settings]:
    """Return at most `budget` settings of a ranker: the defaults, and random combinations from its grid."""
    every = [dict(zip(cls.grid, values, strict=True)) for values in product(*cls.grid.values())] if cls.grid else []
    defaults = cls.Params().model_dump() if every else {}
    others = [each for each in every if any(defaults[key] != value for key, value in each.items())]
    return [{}, *(others if len(others) < budget else random.Random(seed).sample(others, budget - 1))]


def _tuned(
    context: Context, material: systems.Material, cls: type[Ranker], spec: BaselineSpec, tuning: Tuning
) -> Tuned:
    base = dict(spec.params)
    if "max_seconds" in cls.Params.model_fields:
        base.setdefault("max_seconds", tuning.max_seconds)
    candidates = settings(cls, tuning.budget, context.recipe.seed)
    if len(candidates) == 1:
        return Tuned(BaselineSpec(name=spec.name, params=base), [])
    tried: list[TriedSetting] = []
    for number, setting in enumerate(candidates):
        candidate = BaselineSpec(name=spec.name, params={**base, **setting})
        system = systems.baseline_system(context, candidate)
        make = partial(_measured, context, system, candidate.params, material, tuning)
        inputs = {**fit_systems.inputs(context, system, material), "target": (tuning.metric, tuning.k)}
        try:
            tried.append(context.run.stage(f"tune-{system.name}-{number}", inputs, make))
        except Exception as error:
            why = system_failures.recorded(context, f"{system.name} {setting or 'with its defaults'}", error)
            tried.append({"params": candidate.params, "value": None, "seconds": 0.0, "failed": why})
    measured = [(row["value"], row["params"]) for row in tried if row["value"] is not None]
    # if all settings fail, the run reports the reason
    best = max(measured, key=lambda row: row[0])[1] if measured else base
    return Tuned(BaselineSpec(name=spec.name, params=best), tried)


def _measured(
    context: Context,
    system: systems.System,
    params: Settings,
    material: systems.Material,
    tuning: Tuning,
    workdir: Path,
) -> tuple[Sequence[Path], TriedSetting]:
    """Return the validation result of a setting."""
    with metered(context.device) as meter:
        value = fit_systems.validation_value(context, system, material, tuning.key, workdir)
    return [], {"params": params, "value": value, "seconds": meter.seconds}


def _names(baselines: Sequence[str], recipe: Recipe) -> list[str]:
    """Return the names of the baselines to tune, without duplicates."""
    names: list[str] = []
    for name in baselines:
        if name in KINDS:
            names += _usable(KINDS[name], recipe)
        elif why := unfit(name, recipe):
            raise InputError(f"baseline {name!r} {why}")
        else:
            names.append(name)
    if not names:
        raise InputError(
            f"baselines={list(baselines)} must name at least one baseline: pass all, cheap, or names such as item-knn"
        )
    return list(dict.fromkeys(names))


def _usable(kinds: Sequence[str], recipe: Recipe) -> list[str]:
    """Return rankers of these kinds that the recipe has data for.

    Of a ranker for training playlists and its counterpart for other playlists, the ranker that fits the protocol is
    returned.
    """
    protocol = recipe.evaluation.split
    trained = not (protocol.whole_lists or protocol.cold)
    able = {name: ranker_class(name).capabilities for name in listed()}
    replaced = {each.counterpart for each in able.values() if each.training_playlists_only and trained}
    return [
        name
        for name, each in able.items()
        if each.kind in kinds
        and not each.oracle
        and name not in replaced
        and (trained or not each.training_playlists_only)
        and (recipe.encoders or each.content != "required")
    ]


def _target(select: str | None, recipe: Recipe) -> tuple[str, int]:
    """Return the tuning metric and cutoff. Raises `InputError` for a metric that is not measured or not suitable."""
    evaluation = recipe.evaluation
    columns = [
        Column(name, k)
        for name in contract.selecting(evaluation.metrics)
        for k in (evaluation.k if contract.named(name).cutoff == "k" else [None])
    ]
    known = {column.key: (column.metric, column.k or 0) for column in columns}
    if not known:
        raise InputError(
            f"evaluation.metrics={evaluation.metrics} must contain a metric that is higher for better rankings:"
            " add recall"
        )
    chosen = select or ("recall@50" if "recall@50" in known else next(iter(known)))
    if chosen not in known:
        raise InputError(
            f"select={chosen!r} must be a measured metric that is higher for better rankings:"
            f" {plugins.suggest(chosen, list(known))}"
        )
    return known[chosen]


def _models(recipe: Recipe, chosen: Sequence[str]) -> list[ModelSpec]:
    names = [model.system_name(recipe.fusion, recipe.encoders) for model in recipe.models]
    for name in chosen:
        if name not in names:
            raise InputError(f"{name!r} is not a model of this recipe: {plugins.suggest(name, names)}")
    return [model for name, model in zip(names, recipe.models, strict=True) if name in chosen]


def _result(
    recipe: Recipe, run: run_directory.RunDirectory, results: Results, tuned: Sequence[Tuned], tuning: Tuning
) -> BenchResult:
    """Return the systems from best to worst: settings, test values with intervals, and costs."""
    by_name: Mapping[str, Tuned] = {each.spec.system_name: each for each in tuned}
    rows: list[BenchRow] = []
    for system, timing in results.timings.items():
        values = {
            f"{row['split']} {row['slice']} {Column(row['metric'], row['k'] or None).key}": [
                row["value"],
                row["ci_low"],
                row["ci_high"],
            ]
            for row in results.metrics
            if row["system"] == system and (row["split"] == "test" or row["slice"] == "all")
        }
        params, tried = (by_name[system].spec.params, by_name[system].tried) if system in by_name else ({}, [])
        rows.append({"system": system, **timing, "params": params, "tried": tried, "values": values})
    rows.sort(key=lambda row: (row["oracle"], -(row["values"][f"test all {tuning.key}"][0] or 0.0)))
    manifest = run.read(run_directory.MANIFEST)
    if path := manifest["data"].get("path"):  # others read the result: it names the data, not their place on a machine
        manifest["data"]["path"] = Path(str(path)).name
    return {
        "bench": recipe.name,
        "tuned_for": f"valid {tuning.key}",
        "budget": tuning.budget,
        "data": run.read(run_directory.DATA),
        "comparisons": results.comparisons,
        "manifest": manifest,
        "machine": {"load": round(os.getloadavg()[0], 1), "cores": os.cpu_count()},
        "rows": rows,
        "failed": results.failed,
    }

"""Every baseline tuned on validation by the same budget, then run as a recipe: one comparable row each."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from segue.results import evaluate
from toolkit import plugins, run_directory
from toolkit.contracts import metric as contract
from toolkit.errors import InputError, RunDirectoryError
from toolkit.files import cache_folder
from toolkit.pipeline.run import fit_systems, run_recipe, systems
from toolkit.pipeline.run.meter import metered
from toolkit.pipeline.run.run_context import Context, LoggedReporter
from toolkit.pipeline.run.systems import Material, System
from toolkit.pipeline.write import folds, pool_folds
from toolkit.progress import Reporter
from toolkit.ranker import Ranker
from toolkit.ranker_registry import listed, ranker_class
from toolkit.recipe import BaselineSpec, Recipe
from toolkit.recipe.cross_checks import unfit
from toolkit.report.result_tables import Column
from toolkit.run_directory import RunDirectory

TUNING, RUN = "tuning", "run"
KINDS = {"all": ("baseline", "neural"), "cheap": ("baseline",)}


@dataclass(frozen=True)
class Tuned:
    """A baseline with its best setting. tried: every setting with its value on validation; empty where there was nothing to choose."""

    spec: BaselineSpec
    tried: list[dict[str, Any]]


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
) -> dict[str, Any]:
    """Tune `baselines` on validation, run them with the recipe's `models` of those names, and give the table as one JSON-able value.

    baselines: names, `all`, or `cheap` (all but the neural ones). select: what is tuned for, default recall@50 where it is
    measured. budget: settings tried of each. max_seconds: of training one neural baseline; an ended one is marked underfit. A killed call
    goes on where it stopped. Under `test_fold: all` each fold has its own settings and its own run, and the table is of all playlists.
    Raises `InputError` for unknown names, and for those that the recipe has nothing for.
    """
    if budget < 1:
        raise InputError(f"budget={budget} must be >= 1: how many settings of each baseline are tried")
    chosen = _names(baselines, recipe)
    target = _target(select, recipe)
    kept = _models(recipe, models)
    reporter = progress or Reporter()
    plain = recipe.model_copy(
        update={"models": kept, "baselines": [BaselineSpec(name=name) for name in chosen], "sweep": None}
    )
    how: dict[str, Any] = {"budget": budget, "max_seconds": max_seconds, "progress": reporter, "cache": cache}
    whole = RunDirectory(out / RUN)
    if not (each := folds.dealt(plain)):
        if whole.path(run_directory.FOLDS).exists():
            raise RunDirectoryError(f"{whole.root} is a bench over several folds: choose another --out, or delete it")
        tuned, rows = _tuned_and_run(plain, out, target, how)
    else:
        whole.check(plain.model_dump(mode="json"))
        folds.check(plain, each, cache or cache_folder(), reporter)
        found = []
        for name, fold in each.items():
            reporter.stage(name)
            found.append(_tuned_and_run(fold, out / name, target, how)[0])
        tuned = _of_all_folds(found)
        with RunDirectory.claim(whole.root, plain.model_dump(mode="json")) as joined:
            rows = pool_folds.pool(plain, {name: RunDirectory(out / name / RUN) for name in each}, joined)
    return _result(recipe, whole, rows, tuned, target, budget)


def _tuned_and_run(
    recipe: Recipe, out: Path, target: tuple[str, int], how: Mapping[str, Any]
) -> tuple[list[Tuned], list[dict[str, Any]]]:
    tuned = tune(recipe, out / TUNING, target, **how)
    best = recipe.model_copy(update={"baselines": [one.spec for one in tuned]})
    return tuned, run_recipe.run(best, out / RUN, progress=how["progress"], cache=how["cache"])


def _of_all_folds(each: Sequence[Sequence[Tuned]]) -> list[Tuned]:
    """Of every baseline the settings that all folds chose; of those that differ, a list of each fold's."""
    found, by_name = [], [{one.spec.name: one for one in fold} for fold in each]
    for name in by_name[0]:
        if not all(name in fold for fold in by_name):
            continue  # a fold had nothing for it, and said so
        of_folds = [fold[name] for fold in by_name]
        params = [one.spec.params for one in of_folds]
        keys = dict.fromkeys(key for one in params for key in one)
        by_fold = {key: [one.get(key, "default") for one in params] for key in keys}
        joined = {
            key: values[0] if all(value == values[0] for value in values) else values for key, values in by_fold.items()
        }
        tried = [{"fold": place, **row} for place, one in enumerate(of_folds) for row in one.tried]
        found.append(Tuned(of_folds[0].spec.model_copy(update={"params": joined}), tried))
    return found


def tune(
    recipe: Recipe,
    out: Path,
    target: tuple[str, int],
    *,
    budget: int,
    max_seconds: float,
    progress: Reporter,
    cache: Path | None = None,
) -> list[Tuned]:
    """The best setting of each of the recipe's baselines on its validation playlists; those that the data has nothing for are left out."""
    from toolkit.ingest import read_data as ingest
    from toolkit.pipeline.run import collect_stage

    with RunDirectory.claim(out, recipe.model_dump(mode="json")) as directory, run_recipe._threads(recipe.threads):
        context = run_recipe.context_of(recipe, directory, cache, LoggedReporter(directory, progress))
        progress.stage("ingest")
        ingested = ingest.ingest(
            recipe.data, context.cache, reporter=context.reporter, described=systems.described(recipe)
        )
        ingested = collect_stage.collected(recipe, ingested, context.reporter)
        rows = [
            systems.baseline_system(context, BaselineSpec.model_validate(spec.model_dump())) for spec in _specs(recipe)
        ]
        material = run_recipe.gathered(context, ingested, rows)[0]
        found = []
        for spec in _specs(recipe):
            cls = ranker_class(spec.name)
            if lacking := _lacking(cls, material):
                progress.note(f"{spec.name}: left out, the catalogue has no {lacking}")
                continue
            if why := cls(**spec.params).memory_problem(material.split.train, context.device):
                progress.note(f"{spec.name}: left out, {why} in a recipe's baselines")
                continue
            progress.stage(f"tune {spec.name}")
            found.append(_tuned(context, material, cls, spec, target, budget, max_seconds))
        return found


def settings(cls: type[Ranker], budget: int, seed: int) -> list[dict[str, Any]]:
    """At most `budget` settings of a ranker: its defaults and, of its grid's combinations, those drawn by the seed."""
    every = [dict(zip(cls.grid, values, strict=True)) for values in product(*cls.grid.values())] if cls.grid else []
    defaults = cls.Params().model_dump() if every else {}
    others = [one for one in every if any(defaults[key] != value for key, value in one.items())]
    drawn = others if len(others) < budget else random.Random(seed).sample(others, budget - 1)
    return [{}, *drawn]


def _tuned(
    context: Context,
    material: Material,
    cls: type[Ranker],
    spec: BaselineSpec,
    target: tuple[str, int],
    budget: int,
    max_seconds: float,
) -> Tuned:
    base = dict(spec.params)
    if "max_seconds" in cls.Params.model_fields:
        base.setdefault("max_seconds", max_seconds)
    tried_settings = settings(cls, budget, context.recipe.seed)
    if len(tried_settings) == 1:
        return Tuned(BaselineSpec(name=spec.name, params=base), [])
    tried = []
    for number, setting in enumerate(tried_settings):
        params = {**base, **setting}
        system = systems.baseline_system(context, BaselineSpec(name=spec.name, params=params))
        make = partial(_measured, context, system, material, target)
        inputs = {**fit_systems.inputs(context, system, material), "target": target}
        tried.append({"params": params, **context.run.stage(f"tune-{system.name}-{number}", inputs, make)})
    best = max(tried, key=lambda one: one["value"])
    return Tuned(BaselineSpec(name=spec.name, params=best["params"]), tried)


def _measured(
    context: Context, system: System, material: Material, target: tuple[str, int], workdir: Path
) -> tuple[Sequence[Path], dict[str, Any]]:
    """Mean of the target over the validation playlists, and the seconds that fitting and ranking took."""
    metric, k = target
    with metered(context.device) as meter:
        model, evaluation = fit_systems.fit_model(context, system, material, workdir), context.recipe.evaluation
        scores = evaluate(
            model,
            material.held_out("valid"),
            [f"{metric}@{k}" if k else metric],
            rankings=0,
            allow_repeats=evaluation.allow_repeats,
            memory_mb=evaluation.memory_mb,
        ).scores
    return [], {"value": round(float(np.nanmean(scores.values["all", metric, k])), 8), "seconds": meter.seconds}


def _names(wanted: Sequence[str], recipe: Recipe) -> list[str]:
    """The baselines asked for, each once, those that rank with others' help last."""
    found: list[str] = []
    for name in wanted:
        if name not in KINDS:
            if why := unfit(name, recipe):
                raise InputError(f"baselines: {name!r} {why}")
            found.append(name)
            continue
        found += _usable(KINDS[name], recipe)
    if not found:
        raise InputError(f"baselines={list(wanted)} must name at least one: give all, cheap, or names such as item-knn")
    return list(dict.fromkeys(found))


def _usable(kinds: Sequence[str], recipe: Recipe) -> list[str]:
    """Rankers of these kinds that the recipe has data for; of one for training playlists and its counterpart, the one that fits."""
    protocol = recipe.evaluation.split
    trained = not (protocol.whole_lists or protocol.cold)
    able = {name: ranker_class(name).capabilities for name in listed()}
    replaced = {one.counterpart for one in able.values() if one.training_playlists_only and trained}
    return [
        name
        for name, one in able.items()
        if one.kind in kinds
        and not one.oracle
        and name not in replaced
        and (trained or not one.training_playlists_only)
        and (recipe.encoders or one.content != "required")
    ]


def _lacking(cls: type[Ranker], material: Material) -> str:
    """The kinds of labels, or the titles, that a ranker cannot do without and the catalogue does not have."""
    able = cls.capabilities
    lacking = [kind for kind in able.labels if able.labels_required and kind not in material.labels]
    if able.titles == "required" and not any(material.split.train.titles()):
        lacking.append("titles")
    return " and no ".join(lacking)


def _target(select: str | None, recipe: Recipe) -> tuple[str, int]:
    """Metric and cutoff, 0 where the metric has none. Raises `InputError` for what is not measured or cannot be tuned for."""
    evaluation = recipe.evaluation
    metrics = {name: contract.named(name) for name in contract.selecting(evaluation.metrics)}
    columns = [
        Column(name, k) for name, metric in metrics.items() for k in (evaluation.k if metric.cutoff == "k" else [None])
    ]
    known = {column.key: (column.metric, column.k or 0) for column in columns}
    if not known:
        raise InputError(
            f"evaluation.metrics={evaluation.metrics} holds nothing that is higher for better rankings: add recall"
        )
    chosen = select or ("recall@50" if "recall@50" in known else next(iter(known)))
    if chosen not in known:
        raise InputError(f"select={chosen!r} is nothing to tune for here: {plugins.suggest(chosen, list(known))}")
    return known[chosen]


def _key(metric: str, k: int) -> str:
    return Column(metric, k or None).key


def _models(recipe: Recipe, wanted: Sequence[str]) -> list[Any]:
    names = [model.system_name(recipe.fusion, recipe.encoders) for model in recipe.models]
    for name in wanted:
        if name not in names:
            raise InputError(f"{name!r} is not a model of this recipe: {plugins.suggest(name, names)}")
    return [model for name, model in zip(names, recipe.models, strict=True) if name in wanted]


def _specs(recipe: Recipe) -> list[BaselineSpec]:
    return [one for one in recipe.baselines if isinstance(one, BaselineSpec)]


def _result(
    recipe: Recipe,
    run: RunDirectory,
    rows: Sequence[Mapping[str, Any]],
    tuned: Sequence[Tuned],
    target: tuple[str, int],
    budget: int,
) -> dict[str, Any]:
    """Systems, the best first: settings, test values with intervals, and what they cost."""
    timings, by_name = run.read(run_directory.TIMINGS), {one.spec.system_name: one for one in tuned}
    table = []
    for system in timings:
        own = [row for row in rows if row["system"] == system]
        values = {
            f"{row['split']} {row['slice']} {_key(row['metric'], row['k'])}": [
                row["value"],
                row["ci_low"],
                row["ci_high"],
            ]
            for row in own
            if row["split"] == "test" or row["slice"] == "all"
        }
        one = by_name.get(system)
        table.append(
            {
                "system": system,
                **timings[system],
                "params": one.spec.params if one else {},
                "tried": one.tried if one else [],
                "values": values,
            }
        )
    key = f"test all {_key(*target)}"
    table.sort(key=lambda row: (row["oracle"], -row["values"][key][0]))
    about = {"load": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
    manifest = run.read(run_directory.MANIFEST)
    if manifest["data"].get(
        "path"
    ):  # a result is kept where others read it: the data's name, not its place on one machine
        manifest["data"]["path"] = Path(manifest["data"]["path"]).name
    return {
        "bench": recipe.name,
        "tuned_for": f"valid {_key(*target)}",
        "budget": budget,
        "data": run.read(run_directory.DATA),
        "comparisons": run.read(run_directory.COMPARISONS),
        "manifest": manifest,
        "machine": about,
        "rows": table,
    }

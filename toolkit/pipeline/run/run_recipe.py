"""The order of the stages, and that each runs once."""

from __future__ import annotations

import contextlib
import shutil
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import devices, run_directory
from toolkit.errors import InputError
from toolkit.files import cache_folder, digest
from toolkit.pipeline.run.run_context import Context, LoggedReporter
from toolkit.progress import Reporter
from toolkit.recipe import Recipe
from toolkit.run_directory import RunDirectory
from toolkit.source_code import package_source, sources

if TYPE_CHECKING:
    from toolkit.ingest.read_data import Ingested
    from toolkit.pipeline.run.systems import Material, System
    from toolkit.pipeline.write.write_results import Outcome

FINISHED = "finished"


def run(
    recipe: Recipe, run_dir: Path, *, progress: Reporter | None = None, cache: Path | None = None, fresh: bool = False
) -> list[dict[str, Any]]:
    """Run `recipe` in `run_dir`, or go on where an earlier try stopped; returns the rows of `metrics.json`.

    A finished run returns at once. cache: where corpora and encodings are
    shared between runs. fresh: forget the stages that are done.
    Raises `RunDirectoryError` where the folder is another recipe's or in use,
    `InputError` for data or settings that cannot be used, and for a recipe with a sweep, whose best is run.
    """
    if recipe.sweep is not None:
        raise InputError(f"{recipe.name} has a sweep: `segue sweep` it, then run the best.yaml that it writes")
    from toolkit.pipeline.write import mlflow_log
    from toolkit.pipeline.write.folds import dealt
    from toolkit.sequential.training import distributed

    each = dealt(recipe)
    if each and distributed.current().world > 1:
        raise InputError("evaluation.split.test_fold=all is one run after another: name one fold for several processes")
    with RunDirectory.claim(Path(run_dir), recipe.model_dump(mode="json")) as directory:
        reporter = LoggedReporter(directory, progress or Reporter())
        if fresh:
            shutil.rmtree(directory.path(run_directory.STAGES), ignore_errors=True)
        if not finished(directory, recipe, reporter):
            directory.forget(FINISHED)
            directory.write_recipe(_identity(recipe))
            directory.log("run", state="started")
            with _logged(directory), _threads(recipe.threads):
                context = context_of(recipe, directory, cache, reporter)
                if each:
                    _folds(context, each, fresh=fresh)
                else:
                    _stages(context)
            directory.log("run", state="finished")
        mlflow_log.log(directory, reporter)
        rows: list[dict[str, Any]] = directory.read(run_directory.METRICS)
        return rows


def follow(recipe: Recipe, run_dir: Path, *, cache: Path | None = None) -> None:
    """Fit with the first process what it fits, from the corpus and encodings that it left in the cache.

    Never returns: raises `Ended` when the first process ends.
    """
    from toolkit.ingest import read_data as ingest
    from toolkit.pipeline.run import collect_stage, fit_systems, systems
    from toolkit.sequential.training import distributed

    processes, material = distributed.current(), None
    with _threads(recipe.threads):
        context = context_of(recipe, RunDirectory(Path(run_dir)), cache, Reporter())
        while True:
            asked = processes.decide(dict)
            if material is None:
                ingested = ingest.ingest(
                    recipe.data, context.cache, reporter=context.reporter, described=systems.described(recipe)
                )
                ingested = collect_stage.found(recipe, ingested)
                material = gathered(context, ingested, systems.systems(context))[0]
            fit_systems.fit_along(context, material, asked)


def finished(directory: RunDirectory, recipe: Recipe, reporter: Reporter) -> bool:
    """Whether everything is done and the data is, by sizes and times, what it was; other code is only told of."""
    from toolkit.ingest.read_data import stamp
    from toolkit.pipeline.run import collect_stage

    # the recipe is this one, perhaps as an earlier version wrote it
    result = directory.done(FINISHED, _identity(recipe)) or directory.done(
        FINISHED, run_directory.read_recipe(directory.root)
    )
    if result is None:
        return False
    if (now := stamp(recipe.data) + collect_stage.stamp(recipe)) and now != result["stamp"]:
        reporter.note("the data changed since this run was finished: running what depends on it again")
        return False
    if sources(_identity(recipe)) != result.get("sources", {}):
        reporter.note(
            "a class of the recipe's own changed since this run was finished: running what depends on it again"
        )
        return False
    if result["code"] != package_source():
        reporter.note(
            "this run was finished by another version of segue: these are its numbers; --fresh makes them anew"
        )
    return True


def _folds(context: Context, each: Mapping[str, Recipe], *, fresh: bool) -> None:
    """Run every fold in its folder, one after the other, and join what they found."""
    from toolkit.ingest import read_data as ingest
    from toolkit.pipeline.run import collect_stage
    from toolkit.pipeline.write import folds, pool_folds

    directory, recipe = context.run, context.recipe
    found = {name: RunDirectory(directory.root / name) for name in each}
    folds.check(recipe, each, context.cache, context.reporter)
    for name, one in each.items():
        context.reporter.stage(name)
        run(one, found[name].root, progress=context.reporter, cache=context.cache, fresh=fresh)
    context.reporter.stage("report")
    pool_folds.pool(recipe, found, directory)
    if any(found[name].done(FINISHED, _identity(one)) is None for name, one in each.items()):
        return  # weights are missing: a later run sees whether they are here by then
    written = [directory.path(name) for name in (*_results(recipe), run_directory.FOLDS)]
    written += [one.path(name) for one in found.values() for name in _results(recipe)]
    stamp = ingest.stamp(recipe.data) + collect_stage.stamp(recipe)
    _finish(directory, recipe, written, stamp)


def _finish(directory: RunDirectory, recipe: Recipe, written: Sequence[Path], stamp: str) -> None:
    about = {"stamp": stamp, "code": package_source(), "sources": sources(_identity(recipe))}
    directory.stage(FINISHED, _identity(recipe), lambda _: (written, about))


def _stages(context: Context) -> None:
    from toolkit.ingest import read_data as ingest
    from toolkit.pipeline.figures import attribution, example_playlists, factor_map, projection, tag_scores
    from toolkit.pipeline.figures.track_map import track_map
    from toolkit.pipeline.run import collect_stage, fit_systems, near_duplicate_counts, systems
    from toolkit.pipeline.write import manifest, write_results
    from toolkit.report.page import render

    directory, reporter, recipe = context.run, context.reporter, context.recipe
    projection.check(recipe.report.map_by)
    chosen = systems.systems(context)
    reporter.stage("ingest")
    directory.log("stage", stage="ingest", state="started")
    stamp = ingest.stamp(recipe.data)
    ingested = ingest.ingest(recipe.data, context.cache, reporter=reporter, described=systems.described(recipe))
    ingested = collect_stage.collected(recipe, ingested, reporter)
    stamp += collect_stage.stamp(recipe)
    directory.write(run_directory.MANIFEST, manifest.manifest(context, ingested))
    if whole := [k for k in recipe.evaluation.k if k >= ingested.corpus.n_items]:
        reporter.note(
            f"evaluation.k={whole} reaches all {ingested.corpus.n_items:,} tracks, where every ranking is right: name smaller ones"
        )
    material, coverage = gathered(context, ingested, chosen)
    material = replace(material, split=near_duplicate_counts.labelled(context, material.split, material.key))
    directory.write(run_directory.COVERAGE, coverage)
    write_results.write_data(context, ingested, material)
    directory.write(run_directory.TABLE, write_results.table(chosen, material))
    chosen = _with_weights(context, chosen, material)
    outcomes = [_outcome(context, system, material) for system in chosen]
    if recipe.evaluation.attribution:
        directory.write(run_directory.ATTRIBUTION, attribution.measure(context, material, outcomes))
    if recipe.coldstart.tags is not None:
        directory.write(run_directory.TAGS, tag_scores.measure(context, ingested, material, chosen))
    if recipe.coldstart.looking is not None:
        directory.write(run_directory.LOOKING, factor_map.look(context, ingested, material))
    reporter.stage("report")
    write_results.write_results(context, material, outcomes)
    directory.write(run_directory.MAP, track_map(context, ingested, material, chosen))
    directory.write(run_directory.EXAMPLES, example_playlists.examples(context, material, chosen))
    render(directory.root)
    if material.missing:
        return  # a later run sees whether the weights are here by then
    written = [directory.path(name) for name in (*_results(recipe), run_directory.TRACKS, run_directory.MAP)]
    written += [
        file for system in chosen for file in fit_systems.files(directory.path(f"{run_directory.MODEL}/{system.name}"))
    ]
    _finish(directory, recipe, written, stamp)


def _results(recipe: Recipe) -> tuple[str, ...]:
    """Files that are made again where one of them is gone."""
    kept = (run_directory.RANKINGS, run_directory.HIDDEN) if recipe.evaluation.rankings else ()
    return (*run_directory.RESULTS, *kept, *([run_directory.ATTRIBUTION] if recipe.evaluation.attribution else []))


def _with_weights(context: Context, chosen: list[System], material: Material) -> list[System]:
    """Those of the systems whose pretrained weights are here. Raises `InputError` where none is left, or the reference is not."""
    left = [system for system in chosen if not material.lacks(system)]
    for system in chosen:
        if keys := material.lacks(system):
            context.reporter.note(
                f"{system.name}: not run: give its path (--set {' --set '.join(f'{key}=…' for key in keys)})"
            )
    if not left:
        raise InputError(
            f"no system of {context.recipe.name} has its pretrained weights: give {', '.join(material.missing.values())}"
        )
    reference = context.recipe.evaluation.reference
    if reference is not None and reference not in [system.name for system in left]:
        raise InputError(
            f"evaluation.reference={reference!r} is not run, its pretrained weights are not here: choose another"
        )
    return left


def gathered(context: Context, ingested: Ingested, chosen: Sequence[System]) -> tuple[Material, list[dict[str, Any]]]:
    """What systems are fitted to, and the rows of `coverage.json`."""
    from segue.playlist_data import Playlists
    from segue.split import Training
    from toolkit.coldstart.factorisation import FactorStore
    from toolkit.evaluation import leaks
    from toolkit.ingest import label_matrices as tags
    from toolkit.ingest import read_data as ingest
    from toolkit.pipeline.run import encode_modalities, systems
    from toolkit.timestamps import to_iso

    evaluation = context.recipe.evaluation
    protocol = evaluation.split
    split = leaks.parts_of(protocol, ingested.corpus, ingest.texts(ingested, protocol.reads_field))
    if split.cuts:
        context.reporter.note("validation begins {}, the test {}".format(*map(to_iso, split.cuts)))
    if left_out := {
        name: count for name, count in split.facts.items() if count and name not in ("valid_tracks", "test_tracks")
    }:
        told = ", ".join(
            f"{count:,} {name.replace('_', ' ')} (such as {split.examples[name][0]})"
            for name, count in left_out.items()
        )
        context.reporter.note(f"{protocol.type} leaves out: {told}")
    data = Playlists(
        lambda _: ingested,
        permission=context.recipe.data.permission,
        strict=True,
        cache=context.cache,
        reporter=context.reporter,
        factors=context.recipe.coldstart.factors,
    )
    seed, folder = context.recipe.seed, context.cache / "factors"
    factors = FactorStore(split.train, data.factors, seed, context.device, folder, context.progress(""))
    train = Training(data, split.train, factors)
    wanted = {name for system in chosen for name in system.modalities}
    cold = context.recipe.coldstart
    wanted |= {row.vectors for row in cold.tags.rows} if cold.tags is not None else set()
    wanted |= {cold.looking.predicted} if cold.looking is not None else set()
    encoded = encode_modalities.encode_all(context, train, wanted)
    content = {
        name: encode_modalities.content_hash(modality.on(data.corpus)) for name, modality in encoded.modalities.items()
    }
    labels = train.labels(kind for system in chosen for kind in system.labels)
    content |= {f"label:{kind}": tags.content_hash(matrix) for kind, matrix in labels.items()}
    key = digest([ingested.key, evaluation.model_dump(mode="json")])
    return systems.Material(train, split, encoded.modalities, key, content, encoded.missing, labels), encoded.coverage


def _outcome(context: Context, system: System, material: Material) -> Outcome:
    from toolkit.evaluation.evaluator import mean
    from toolkit.pipeline.run import fit_systems, systems
    from toolkit.pipeline.write import tensorboard_log, write_results

    fits, scored = [], []
    for each in systems.replicas(context, system):
        context.reporter.stage(each.name)
        fits.append(fit_systems.fit(context, each, material))
        tensorboard_log.log(context.run, each.name, fits[-1]["curve"])
        scored.append({part: fit_systems.score(context, each, material, part) for part in write_results.PARTS})
    scores = {part: [one[part][0] for one in scored] for part in write_results.PARTS}
    costs = {part: scored[0][part][1] for part in write_results.PARTS}
    fitted = {**fits[0], "underfit": any(fit["underfit"] for fit in fits)}
    return write_results.Outcome(system, fitted, {part: mean(each) for part, each in scores.items()}, costs, scores)


def context_of(recipe: Recipe, directory: RunDirectory, cache: Path | None, reporter: Reporter) -> Context:
    from toolkit.sequential.training import distributed

    device = devices.device(recipe.device)
    distributed.current().check_device(device)
    return Context(recipe, directory, cache or cache_folder(), reporter, device)


def _identity(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json")


@contextlib.contextmanager
def _logged(directory: RunDirectory) -> Iterator[None]:
    """Leave the traceback of whatever ends the run in its log, where there is room for it."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            directory.log("run", state="failed", error=repr(error), traceback=traceback.format_exc())
        raise


@contextlib.contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    """Torch's threads as the recipe has them, put back afterwards."""
    import torch

    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

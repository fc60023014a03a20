"""Runs of recipes, which execute each stage once and in order."""

from __future__ import annotations

import contextlib
import shutil
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from toolkit import run_directory
from toolkit.catalogue.named_files import NamedFiles
from toolkit.errors import InputError
from toolkit.files import write_bytes
from toolkit.ingest import read_data
from toolkit.pipeline.run import fit_systems, prepare_data, run_stages, systems
from toolkit.pipeline.run.run_context import Context, LoggedReporter, opened
from toolkit.pipeline.write import folds, mlflow_log, pool_folds
from toolkit.pipeline.write.write_results import Results
from toolkit.progress import Reporter
from toolkit.recipe import Recipe
from toolkit.recipe.redaction import without_secrets
from toolkit.source_code import package_source, sources

FINISHED = "finished"
NAMED = f"{run_directory.STAGES}/named_files.json"
"""Files that records of the data name, as they were when the run read them."""


def run(
    recipe: Recipe, run_dir: Path, *, progress: Reporter | None = None, cache: Path | None = None, fresh: bool = False
) -> Results:
    """Run `recipe` in `run_dir`, or resume an interrupted run. A finished run returns immediately.

    - cache: folder of the corpora and encodings that runs share.
    - fresh: whether to repeat finished stages.

    Systems that fail are listed in `Results.failed`, and the same call tries them again. An error that concerns all
    systems ends the run.

    Raises `RunDirectoryError` if the folder belongs to another recipe or is in use, `InputError` for unusable data or
    settings, and for a recipe with a sweep.
    """
    from toolkit.sequential.training import distributed

    if recipe.sweep is not None:
        raise InputError(
            f"{recipe.name} has a section `sweep`, which `segue run` cannot use: call `segue sweep`, then run best.yaml"
        )
    by_fold = folds.by_fold(recipe)
    if by_fold and distributed.current().world > 1:
        raise InputError(
            "evaluation.split.test_fold=all requires a single process: set one fold, such as 0, or use one process"
        )
    with run_directory.RunDirectory.claim(Path(run_dir), recipe.model_dump(mode="json")) as directory:
        reporter = LoggedReporter(directory, progress or Reporter())
        if fresh:
            shutil.rmtree(directory.path(run_directory.STAGES), ignore_errors=True)
        if finished(directory, recipe, reporter):
            results = Results.read(directory)
        else:
            directory.forget(FINISHED)
            directory.write_recipe(_identity(recipe))
            directory.log("run", state="started")
            with _logged(directory), opened(recipe, directory, progress=reporter, cache=cache) as context:
                results = _run_folds(context, by_fold, fresh=fresh) if by_fold else _run_stages(context)
            directory.log("run", state="finished", failed=list(results.failed))
        mlflow_log.log(directory, reporter)
        return results


def follow(recipe: Recipe, run_dir: Path, *, cache: Path | None = None) -> None:
    """Fit together with the first process of a run, from the corpus and encodings in its cache.

    The function never returns. It raises `Ended` when the first process ends.
    """
    from toolkit.sequential.training import distributed

    processes, material = distributed.current(), None
    with opened(recipe, run_directory.RunDirectory(Path(run_dir)), progress=Reporter(), cache=cache) as context:
        while True:
            request: dict[str, str] = processes.decide(dict)
            if material is None:
                material = prepare_data.prepare(context, collect=False).gather(systems.systems(context))
            fit_systems.fit_along(context, material, request)


def finished(directory: run_directory.RunDirectory, recipe: Recipe, reporter: Reporter) -> bool:
    """Return whether all stages are done with the data that is there now. Changed code is noted."""
    # the recipe is this one, perhaps as an earlier version wrote it
    result = directory.done(FINISHED, _identity(recipe)) or directory.done(
        FINISHED, run_directory.read_recipe(directory.root)
    )
    if result is None:
        return False
    if not _same_data(directory, recipe, result, reporter):
        reporter.note("the data changed since this run was finished: running what depends on it again")
        return False
    if sources(_identity(recipe)) != result.get("sources", {}):
        reporter.note(
            "a class of the recipe's own changed since this run was finished: running what depends on it again"
        )
        return False
    if result["code"] != package_source():
        reporter.note(
            "this run was finished by another version of segue: these are its numbers; --fresh recomputes them"
        )
    return True


def _same_data(
    directory: run_directory.RunDirectory, recipe: Recipe, result: dict[str, Any], reporter: Reporter
) -> bool:
    """Return whether a finished run has read the data that is there now."""
    try:
        stamp = prepare_data.DataStamp(*result["stamp"])
        named = read_data.named_files(recipe.data, directory.path(NAMED).read_bytes())
    except (TypeError, OSError, msgspec.MsgspecError):
        return False  # of an earlier version, or damaged
    return prepare_data.same_data(recipe, stamp, named, reporter)


def _run_stages(context: Context) -> Results:
    directory, state = context.run, run_stages.RunState(context)
    for name, stage in run_stages.STAGES:
        directory.log("run", state=name)
        run_stages.execute(name, stage, state)
    if state.failures.postponed is not None:
        raise state.failures.postponed
    # a later run tries failed systems again, and looks again for missing weights
    if not state.failures.reasons and not state.material.missing:
        names = (*_results(context.recipe), run_directory.TRACKS, run_directory.MAP)
        models = [directory.path(f"{run_directory.MODEL}/{system.name}") for system in state.systems]
        files = [*map(directory.path, names), *(file for model in models for file in fit_systems.files(model))]
        _finish(directory, context.recipe, files, state.prepared.stamp, state.prepared.ingested.named)
    return state.results


def _run_folds(context: Context, by_fold: Mapping[str, Recipe], *, fresh: bool) -> Results:
    """Run the folds one after another, each in its own folder, and pool their results."""
    directory, recipe = context.run, context.recipe
    runs = {name: run_directory.RunDirectory(directory.root / name) for name in by_fold}
    folds.check(context, by_fold)
    for name, fold in by_fold.items():
        context.reporter.stage(name)
        run(fold, runs[name].root, progress=context.reporter, cache=context.cache, fresh=fresh)
    context.reporter.stage("report")
    results = pool_folds.pool(recipe, runs, directory, context.reporter)
    if all(runs[name].done(FINISHED, _identity(fold)) is not None for name, fold in by_fold.items()):
        files = [each.path(name) for each in (directory, *runs.values()) for name in _results(recipe)]
        first = next(iter(runs.values()))
        stamp = prepare_data.DataStamp(*first.done(FINISHED, _identity(next(iter(by_fold.values()))))["stamp"])
        named = read_data.named_files(recipe.data, first.path(NAMED).read_bytes())
        _finish(directory, recipe, [*files, directory.path(run_directory.FOLDS)], stamp, named)
    return results


def _finish(
    directory: run_directory.RunDirectory,
    recipe: Recipe,
    files: Sequence[Path],
    stamp: prepare_data.DataStamp,
    named: NamedFiles,
) -> None:
    write_bytes(directory.path(NAMED), read_data.encode_named(recipe.data, named))
    about = {"stamp": stamp, "code": package_source(), "sources": sources(_identity(recipe))}
    directory.stage(FINISHED, _identity(recipe), lambda _: ([*files, directory.path(NAMED)], about))


def _results(recipe: Recipe) -> tuple[str, ...]:
    """Return files that are written again if they are missing."""
    kept = (run_directory.RANKINGS, run_directory.HIDDEN) if recipe.evaluation.rankings else ()
    return (*run_directory.RESULTS, *kept, *([run_directory.ATTRIBUTION] if recipe.evaluation.attribution else []))


def _identity(recipe: Recipe) -> dict[str, object]:
    """Return all values of a recipe but passwords and keys, which are in no file of a run."""
    return without_secrets(recipe.model_dump(mode="json"))


@contextlib.contextmanager
def _logged(directory: run_directory.RunDirectory) -> Iterator[None]:
    """Write the traceback of a fatal error to the run's log, if the disk has space."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            directory.log("run", state="failed", error=repr(error), traceback=traceback.format_exc())
        raise

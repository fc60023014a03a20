"""Runs a recipe: its stages in order, each once."""

from __future__ import annotations

import contextlib
import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from toolkit import run_directory
from toolkit.errors import InputError
from toolkit.pipeline.run import fit_systems, prepare_data, run_stages, systems
from toolkit.pipeline.run.run_context import Context, LoggedReporter, opened
from toolkit.pipeline.run.run_stages import RunState
from toolkit.pipeline.write import folds, mlflow_log, pool_folds
from toolkit.pipeline.write.write_results import Results
from toolkit.progress import Reporter
from toolkit.recipe import Recipe
from toolkit.run_directory import RunDirectory
from toolkit.source_code import package_source, sources

STAGES: tuple[tuple[str, Callable[[RunState], None]], ...] = (
    ("ingest and collect", run_stages.ingest),
    ("split and encode", run_stages.encode),
    ("fit and evaluate", run_stages.fit),
    ("attribution", run_stages.attribute),
    ("tags", run_stages.predict_tags),
    ("factor map", run_stages.map_factors),
    ("tables", run_stages.tables),
    ("map of tracks", run_stages.map_tracks),
    ("examples", run_stages.examples),
    ("report", run_stages.report),
)

FINISHED = "finished"


def run(
    recipe: Recipe, run_dir: Path, *, progress: Reporter | None = None, cache: Path | None = None, fresh: bool = False
) -> Results:
    """Run `recipe` in `run_dir`, or resume where an earlier try stopped. A finished run returns at once.

    - cache: folder of the corpora and encodings that runs share.
    - fresh: whether to run finished stages again.

    Raises `RunDirectoryError` if the folder belongs to another recipe or is in use, `InputError` for data or settings
    that cannot be used, and for a recipe with a sweep: its best recipe is run instead.
    """
    from toolkit.sequential.training import distributed

    if recipe.sweep is not None:
        raise InputError(f"{recipe.name} has a sweep: `segue sweep` it, then run the best.yaml that it writes")
    by_fold = folds.by_fold(recipe)
    if by_fold and distributed.current().world > 1:
        raise InputError("evaluation.split.test_fold=all is one run after another: name one fold for several processes")
    with RunDirectory.claim(Path(run_dir), _identity(recipe)) as directory:
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
            directory.log("run", state="finished")
        mlflow_log.log(directory, reporter)
        return results


def follow(recipe: Recipe, run_dir: Path, *, cache: Path | None = None) -> None:
    """Fit together with the first process of a run, from the corpus and encodings that it left in the cache.

    Never returns: raises `Ended` when the first process ends.
    """
    from toolkit.sequential.training import distributed

    processes, material = distributed.current(), None
    with opened(recipe, RunDirectory(Path(run_dir)), progress=Reporter(), cache=cache) as context:
        while True:
            request: dict[str, str] = processes.decide(dict)
            if material is None:
                material = prepare_data.prepare(context, collect=False).gather(systems.systems(context))
            fit_systems.fit_along(context, material, request)


def finished(directory: RunDirectory, recipe: Recipe, reporter: Reporter) -> bool:
    """Whether every stage is done and the data are unchanged, by sizes and times. Changed code is only noted."""
    # the recipe is this one, perhaps as an earlier version wrote it
    result = directory.done(FINISHED, _identity(recipe)) or directory.done(
        FINISHED, run_directory.read_recipe(directory.root)
    )
    if result is None:
        return False
    if (stamp := prepare_data.stamp(recipe)) and stamp != result["stamp"]:
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


def _run_stages(context: Context) -> Results:
    directory, state = context.run, RunState(context)
    for name, stage in STAGES:
        directory.log("run", state=name)
        stage(state)
    if not state.material.missing:  # a later run looks again for missing weights
        names = (*_results(context.recipe), run_directory.TRACKS, run_directory.MAP)
        models = [directory.path(f"{run_directory.MODEL}/{system.name}") for system in state.systems]
        files = [*map(directory.path, names), *(file for model in models for file in fit_systems.files(model))]
        _finish(directory, context.recipe, files, state.prepared.stamp)
    return state.results


def _run_folds(context: Context, by_fold: Mapping[str, Recipe], *, fresh: bool) -> Results:
    """Run every fold in its folder, one after the other, and pool their results."""
    directory, recipe = context.run, context.recipe
    runs = {name: RunDirectory(directory.root / name) for name in by_fold}
    folds.check(recipe, by_fold, context.cache, context.reporter)
    for name, fold in by_fold.items():
        context.reporter.stage(name)
        run(fold, runs[name].root, progress=context.reporter, cache=context.cache, fresh=fresh)
    context.reporter.stage("report")
    results = pool_folds.pool(recipe, runs, directory)
    if all(runs[name].done(FINISHED, _identity(fold)) is not None for name, fold in by_fold.items()):
        files = [each.path(name) for each in (directory, *runs.values()) for name in _results(recipe)]
        _finish(directory, recipe, [*files, directory.path(run_directory.FOLDS)], prepare_data.stamp(recipe))
    return results


def _finish(directory: RunDirectory, recipe: Recipe, files: Sequence[Path], stamp: str) -> None:
    about = {"stamp": stamp, "code": package_source(), "sources": sources(_identity(recipe))}
    directory.stage(FINISHED, _identity(recipe), lambda _: (files, about))


def _results(recipe: Recipe) -> tuple[str, ...]:
    """Files that are written again if one of them is gone."""
    kept = (run_directory.RANKINGS, run_directory.HIDDEN) if recipe.evaluation.rankings else ()
    return (*run_directory.RESULTS, *kept, *([run_directory.ATTRIBUTION] if recipe.evaluation.attribution else []))


def _identity(recipe: Recipe) -> dict[str, object]:
    return recipe.model_dump(mode="json")


@contextlib.contextmanager
def _logged(directory: RunDirectory) -> Iterator[None]:
    """Write the traceback of an error that ends the run to its log, if the disk has room for it."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            directory.log("run", state="failed", error=repr(error), traceback=traceback.format_exc())
        raise

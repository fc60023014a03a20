"""Stages of a run, which share a state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit import run_directory
from toolkit.errors import InputError, SegueError
from toolkit.evaluation import slices
from toolkit.evaluation.evaluator import mean
from toolkit.pipeline.figures import attribution, example_playlists, factor_map, projection, tag_scores, track_map
from toolkit.pipeline.run import fit_systems, prepare_data, systems
from toolkit.pipeline.run.choose_modalities import with_choices
from toolkit.pipeline.run.label_near_duplicates import label_near_duplicates
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.system_failures import Failures
from toolkit.pipeline.run.systems import Material, System
from toolkit.pipeline.write import manifest, tensorboard_log, write_results
from toolkit.report.page import left_out, render


@dataclass
class RunState:
    """State that the stages of a run share.

    - systems: the systems in the recipe; after `encode` only those with their pretrained weights.
    - prepared: the data, from `ingest`.
    - material: the data that systems are fitted to, from `encode`.
    - outcomes: the results of each system that did not fail, from `fit`.
    - results: the tables, from `tables`.
    """

    context: Context
    systems: list[System] = field(init=False)
    prepared: prepare_data.Prepared = field(init=False)
    material: Material = field(init=False)
    outcomes: list[write_results.Outcome] = field(init=False)
    results: write_results.Results = field(init=False)
    failures: Failures = field(init=False)

    def __post_init__(self) -> None:
        self.failures = Failures(self.context)


def ingest(state: RunState) -> None:
    """Read and collect the data, and write `manifest.json`."""
    context, recipe = state.context, state.context.recipe
    projection.check(recipe.report.map_by)
    state.systems = systems.systems(context)
    context.run.log("stage", stage="ingest", state="started")
    state.prepared = prepare_data.prepare(context)
    ingested = state.prepared.ingested
    slices.check_fields(recipe.evaluation.slices, ingested.corpus.playlists)
    context.run.write(run_directory.MANIFEST, manifest.manifest(context, ingested))
    if whole := [k for k in recipe.evaluation.k if k >= ingested.corpus.n_items]:
        context.reporter.note(
            f"evaluation.k={whole} reaches all {ingested.corpus.n_items:,} tracks, where every ranking is right: "
            "name smaller ones"
        )


def encode(state: RunState) -> None:
    """Split the data, encode the modalities, and write `coverage.json`, `encoders.json`, `data.json`, `table.json`."""
    context, material = state.context, state.prepared.gather(state.systems)
    material = replace(material, split=label_near_duplicates(context, material.split, material.key))
    context.run.write(run_directory.COVERAGE, material.coverage)
    context.run.write(run_directory.ENCODERS, material.encoders)
    for row in material.encoders:
        tensorboard_log.log(context.run, f"encoders/{row['modality']}", row["curve"])
    context.run.write(run_directory.DATA, write_results.data_facts(state.prepared.ingested, material))
    context.run.write(run_directory.TABLE, write_results.table(state.systems, material))
    state.material, state.systems = material, _with_weights(context, state.systems, material)


def fit(state: RunState) -> None:
    """Fit each system with each of its seeds, and evaluate it on validation and test.

    A system that fails is left out of the later stages. Raises the first error if all systems fail.
    """
    failures, state.outcomes = state.failures, []
    for system in state.systems:
        with failures.of(system.name):
            if failed := [other.name for other in system.over if other.name in failures.reasons]:
                names = " and ".join(failed)
                raise SegueError(f"uses {names}, which failed: fix {names}, then run the same command again")
            state.material = with_choices(state.context, system, state.material, state.outcomes)
            state.outcomes.append(_outcome(state.context, system, state.material))
    state.context.run.write(run_directory.COVERAGE, state.material.coverage)
    state.systems = [outcome.system for outcome in state.outcomes]
    if failures.first is not None and all(system.oracle for system in state.systems):
        raise failures.first


def attribute(state: RunState) -> None:
    """Measure the contribution of each modality to each model, and write `attribution.json`."""
    context = state.context
    if context.recipe.evaluation.attribution:
        context.run.write(
            run_directory.ATTRIBUTION, attribution.measure(context, state.material, state.outcomes, state.failures)
        )


def predict_tags(state: RunState) -> None:
    """Predict tags from vectors, and write `tags.json`."""
    context = state.context
    if context.recipe.coldstart.tags is not None:
        failed = state.failures.reasons
        scores = tag_scores.measure(context, state.prepared.ingested, state.material, state.systems, failed)
        context.run.write(run_directory.TAGS, scores)


def map_factors(state: RunState) -> None:
    """Compute the figures of predicted factors, and write `factor_map.json`."""
    context = state.context
    if context.recipe.coldstart.factor_map is not None:
        drawn = factor_map.factor_map(context, state.prepared.ingested, state.material)
        context.run.write(run_directory.FACTOR_MAP, drawn)


def tables(state: RunState) -> None:
    """Write `metrics.json` and the other result files."""
    run, failed = state.context.run, state.failures.reasons
    state.context.reporter.stage("report")
    rows = run.read(run_directory.TABLE)
    for row in rows:
        if row["system"] in failed:
            row["failed"] = failed[row["system"]]
    run.write(run_directory.TABLE, rows)
    state.results = write_results.write_results(state.context, state.material, state.outcomes)


def map_tracks(state: RunState) -> None:
    """Write `map.json`."""
    drawn = track_map.track_map(state.context, state.prepared.ingested, state.material, state.systems)
    state.context.run.write(run_directory.MAP, drawn)


def examples(state: RunState) -> None:
    """Write `examples.json`."""
    shown = example_playlists.examples(state.context, state.material, state.systems)
    state.context.run.write(run_directory.EXAMPLES, shown)
    state.results = replace(state.results, examples=shown)


def report(state: RunState) -> None:
    """Write `report.html`."""
    render(state.context.run.root)
    spec = state.context.recipe.report
    if missing := left_out(by_tsne=bool(spec.map) and spec.map_by == "tsne"):
        state.context.reporter.note(missing)


def _with_weights(context: Context, systems: Sequence[System], material: Material) -> list[System]:
    """Return the systems with pretrained weights. Raises `InputError` without any, or without the reference."""
    able = [system for system in systems if not material.missing_paths(system)]
    for system in systems:
        if keys := material.missing_paths(system):
            context.reporter.note(
                f"{system.name}: not run because pretrained weights are missing: set their path (--set"
                f" {' --set '.join(f'{key}=…' for key in keys)})"
            )
    if not able:
        paths = ", ".join(material.missing.values())
        raise InputError(
            f"every system of {context.recipe.name} lacks pretrained weights: download the weights, and set {paths}"
        )
    reference = context.recipe.evaluation.reference
    if reference is not None and reference not in [system.name for system in able]:
        raise InputError(
            f"evaluation.reference={reference!r} requires pretrained weights that are missing:"
            " download the weights, or set a different reference"
        )
    return able


def _outcome(context: Context, system: System, material: Material) -> write_results.Outcome:
    fits, evaluated = [], []
    for replica in systems.replicas(context, system):
        context.reporter.stage(replica.name)
        fits.append(fit_systems.fit(context, replica, material))
        tensorboard_log.log(context.run, replica.name, fits[-1]["curve"])
        evaluated.append({part: fit_systems.score(context, replica, material, part) for part in write_results.PARTS})
    scores = {part: [parts[part][0] for parts in evaluated] for part in write_results.PARTS}
    costs = {part: evaluated[0][part][1] for part in write_results.PARTS}
    fitted: fit_systems.Fit = {
        **fits[0],
        "underfit": any(fit["underfit"] for fit in fits),
        "collapsed": fit_systems.collapsed(system, material, fits),
    }
    return write_results.Outcome(
        system, fitted, {part: mean(by_seed) for part, by_seed in scores.items()}, costs, scores
    )


STAGES: tuple[tuple[str, Callable[[RunState], None]], ...] = (
    ("ingest and collect", ingest),
    ("split and encode", encode),
    ("fit and evaluate", fit),
    ("attribution", attribute),
    ("tags", predict_tags),
    ("factor map", map_factors),
    ("tables", tables),
    ("map of tracks", map_tracks),
    ("examples", examples),
    ("report", report),
)
"""Name and function of every stage of a run, in order."""

EXTRAS: dict[str, run_directory.RunFile[Any]] = {
    "attribution": run_directory.ATTRIBUTION,
    "tags": run_directory.TAGS,
    "factor map": run_directory.FACTOR_MAP,
    "map of tracks": run_directory.MAP,
    "examples": run_directory.EXAMPLES,
}
"""Stages whose error is raised when the tables and the report are written, and the file that is then empty."""


def execute(name: str, stage: Callable[[RunState], None], state: RunState) -> None:
    """Execute a stage. An error of one of the `EXTRAS` is postponed to the end of the run."""
    if name not in EXTRAS:
        return stage(state)
    done = False
    with state.failures.until_the_end(name):
        stage(state)
        done = True
    if not done:
        state.context.run.write(EXTRAS[name], EXTRAS[name].kind())

"""Result files from the scores of all systems, for tables, the report and `segue continue`."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather

from toolkit import run_directory
from toolkit.catalogue.playlist_summary import sparsity
from toolkit.contracts.metric import chosen, selecting
from toolkit.evaluation import result_rows, slices
from toolkit.evaluation.evaluator import Scores
from toolkit.evaluation.leaks import NEAR, OVERLAP
from toolkit.evaluation.split_size import independent
from toolkit.files import replacing
from toolkit.ingest.read_data import Ingested
from toolkit.pipeline.run.fit_systems import Evaluation, Fit
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, System, held_out
from toolkit.pipeline.write import baseline_floor, rankings_file
from toolkit.progress import Reporter
from toolkit.recipe import Recipe
from toolkit.result_types import (
    ComparisonRow,
    DataFacts,
    Example,
    MetricRow,
    SystemEntry,
    SystemOrder,
    TableRow,
    Timing,
)
from toolkit.seeds import derived_seed
from toolkit.timestamps import to_iso

PARTS = ("valid", "test")


@dataclass(frozen=True)
class Outcome:
    """Results of a system: its fit, its scores and their cost on `valid` and `test`, and the scores by seed."""

    system: System
    fit: Fit
    scores: dict[str, Scores]
    costs: dict[str, Evaluation]
    by_seed: dict[str, list[Scores]]


@dataclass(frozen=True)
class Results:
    """Content of the tables of a finished run.

    - table: headings of the systems.
    - examples: test playlists with rankings.
    - model_run: folder with the models, from the run or from its first fold.
    """

    metrics: list[MetricRow]
    timings: dict[str, Timing]
    comparisons: list[ComparisonRow]
    table: list[TableRow]
    examples: list[Example]
    model_run: Path

    @property
    def failed(self) -> dict[str, str]:
        """Reason for each system that failed, by name."""
        return failed(self.table)

    @classmethod
    def read(cls, run: run_directory.RunDirectory) -> Self:
        """Return the results of a finished run. Raises `RunDirectoryError` if a file is missing or damaged."""
        models = run_directory.RunDirectory(next(iter(run.folds()), run.root))
        return cls(
            run.read(run_directory.METRICS),
            run.read(run_directory.TIMINGS),
            run.find(run_directory.COMPARISONS),
            run.find(run_directory.TABLE),
            models.read(run_directory.EXAMPLES),
            models.root,
        )


def write_results(context: Context, material: Material, outcomes: Sequence[Outcome]) -> Results:
    """Write metrics, values per playlist, comparisons, timings, curves and the order of systems.

    The returned `examples` are still empty.
    """
    run, seed = context.run, derived_seed(context.recipe.seed, "evaluation")
    metrics = [row for part in PARTS for outcome in outcomes for row in _rows(context, material, outcome, part, seed)]
    ranked = order(metrics, [outcome.system for outcome in outcomes], decisive(context))
    ranked["floor"] = baseline_floor.floor(context, material, ranked["systems"], *decisive(context))
    timings = marked({outcome.system.name: _timing(outcome) for outcome in outcomes}, ranked)
    for system, timing in timings.items():
        for word, reason in timing["warnings"].items():
            context.reporter.note(f"{system}: {word} ({reason})")
    comparisons = compared(
        context.recipe,
        context.reporter,
        {outcome.system.name: outcome.scores["test"] for outcome in outcomes},
        material.split.test.groups(),
        oracles=[outcome.system.name for outcome in outcomes if outcome.system.oracle],
    )
    run.write(run_directory.TIMINGS, timings)
    run.write(
        run_directory.CURVES,
        {outcome.system.name: outcome.fit["curve"] for outcome in outcomes if outcome.fit["curve"]},
    )
    run.write(run_directory.COMPARISONS, comparisons)
    run.write_table(run_directory.PER_PLAYLIST, _per_playlist(context, material, outcomes))
    with replacing(run.path(run_directory.TRACKS)) as unfinished:
        feather.write_feather(material.split.train.corpus.tracks, unfinished, compression="zstd")
    run.write(run_directory.SYSTEMS, ranked)
    write_metric_info(run, context.recipe)
    if context.recipe.evaluation.rankings:
        split = material.split
        rankings_file.write(run, split.test, split.train.counts(), [outcome.system.name for outcome in outcomes])
    else:
        rankings_file.forget(run)
    run.write(run_directory.METRICS, metrics)
    return Results(metrics, timings, comparisons, run.read(run_directory.TABLE), [], run.root)


def compared(
    recipe: Recipe, reporter: Reporter, tested: Mapping[str, Scores], groups: np.ndarray, *, oracles: Collection[str]
) -> list[ComparisonRow]:
    """Return the comparisons with the reference, by default the first system that did not fail.

    The result is empty, with a note, if the recipe's reference failed.
    """
    evaluation = recipe.evaluation
    reference = evaluation.reference or next(iter(tested))
    if reference not in tested:
        reporter.note(f"evaluation.reference={reference!r} failed: there are no comparisons with it")
        return []
    seed = derived_seed(recipe.seed, "evaluation")
    return result_rows.comparisons(
        tested, reference, groups=groups, bootstrap=evaluation.bootstrap, seed=seed, oracles=oracles
    )


def failed(table: Sequence[TableRow]) -> dict[str, str]:
    """Return the reason for each system in `table.json` that failed, by name."""
    return {row["system"]: row["failed"] for row in table if "failed" in row}


def write_metric_info(run: run_directory.RunDirectory, recipe: Recipe) -> None:
    """Write facts about the metrics, so tables can be read without the plug-ins for these metrics."""
    run.write(
        run_directory.METRIC_INFO,
        {name: asdict(metric.info) for name, metric in chosen(recipe.evaluation.metrics).items()},
    )


def table(systems: Sequence[System], material: Material) -> list[TableRow]:
    """Return the content of `table.json`: the heading of each system, in recipe order."""
    grouped = any(system.group for system in systems)
    return [
        {
            "system": system.name,
            "group": system.group or ("Others" if grouped else ""),
            "not_run": material.missing_paths(system),
        }
        for system in systems
    ]


def data_facts(ingested: Ingested, material: Material) -> DataFacts:
    """Return the content of `data.json`: sizes, split, and skipped records."""
    corpus, split = ingested.corpus, material.split
    counts = split.train.counts()
    held = {part: held_out(split, part) for part in PARTS}
    facts: DataFacts = {
        "tracks": corpus.n_items,
        "playlists": len(corpus),
        "placements": len(corpus.items),
        "sparsity": sparsity(len(corpus), corpus.n_items, len(corpus.items)),
        "split": {"train": len(split.train), **{part: len(lists) for part, lists in held.items()}},
        "train_placements": int(counts.sum()),
        "tracks_not_in_training": int((counts[1:] == 0).sum()),
        "near_duplicates": {
            part: int((lists.labels[OVERLAP] == NEAR).sum()) for part, lists in held.items() if OVERLAP in lists.labels
        },
    }
    facts["independent"] = {part: round(independent(lists.groups()), 1) for part, lists in held.items()}
    if any(map(len, material.shared.values())):
        facts["recordings_in_training"] = {part: len(material.shared[part]) for part in PARTS}
    if split.cuts:
        facts["cuts"] = dict(zip(PARTS, map(to_iso, split.cuts), strict=True))
    if split.facts:
        facts["left_out"], facts["left_out_examples"] = split.facts, split.examples
    if ingested.doubles:
        facts["doubles"] = ingested.doubles
    facts["skipped"] = {"count": ingested.skipped["count"], "examples": ingested.skipped["examples"]}
    return facts


def decisive(context: Context) -> tuple[str, int]:
    """Return the metric and k that rank systems on validation: the first model's `select`, or a measured metric."""
    recipe = context.recipe
    if recipe.models:
        metric, _, k = recipe.models[0].select.partition("@")
        return metric, int(k)
    measured = recipe.evaluation.metrics
    metric = next(name for name in ("ndcg", "recall", *selecting(measured), *measured) if name in measured)
    return metric, recipe.evaluation.k[0] if chosen([metric])[metric].cutoff == "k" else 0


def order(metrics: Sequence[MetricRow], systems: Sequence[System], chosen_by: tuple[str, int]) -> SystemOrder:
    """Return `model/systems.json`: the validation metric, and all systems from best to worst, with oracles last.

    - cold: the same value on hidden tracks without training interactions; None if validation hides no such tracks.
    """
    metric, k = chosen_by
    reached = {
        (row["system"], row["slice"]): row["value"]
        for row in metrics
        if (row["split"], row["metric"], row["k"]) == ("valid", metric, k) and row["slice"] in ("all", "cold")
    }
    entries: list[SystemEntry] = [
        {**system.entry, "value": reached.get((system.name, "all")), "cold": reached.get((system.name, "cold"))}
        for system in systems
    ]
    return {"chosen_by": {"split": "valid", "slice": "all", "metric": metric, "k": k}, "systems": best_first(entries)}


def best_first(entries: Sequence[SystemEntry]) -> list[SystemEntry]:
    """Return systems by validation value, with oracles last."""
    return sorted(entries, key=lambda entry: (entry["oracle"], -(entry["value"] or 0.0)))


def marked(timings: Mapping[str, Timing], ranked: SystemOrder) -> dict[str, Timing]:
    """Return timings with a warning for each system below the floor of the run."""
    below: dict[str, dict[str, str]] = {}
    for system, word, reason in baseline_floor.below_floor(ranked):
        below.setdefault(system, {})[word] = reason
    return {
        system: {**timing, "warnings": {**timing.get("warnings", {}), **below.get(system, {})}}
        for system, timing in timings.items()
    }


def _rows(context: Context, material: Material, outcome: Outcome, part: str, seed: int) -> list[MetricRow]:
    evaluation, held = context.recipe.evaluation, held_out(material.split, part)
    labels, groups = slices.by_playlist(held, evaluation.slices), held.groups()

    def rows(scores: Scores, bootstrap: int) -> list[MetricRow]:
        return result_rows.rows(
            scores,
            system=outcome.system.name,
            modalities=outcome.system.modalities,
            split=part,
            groups=groups,
            bootstrap=bootstrap,
            seed=seed,
            labels=labels,
        )

    means, by_seed = rows(outcome.scores[part], evaluation.bootstrap), outcome.by_seed[part]
    return over_seeds(means, [rows(scores, 2) for scores in by_seed]) if len(by_seed) > 1 else means


def over_seeds(means: Sequence[MetricRow], by_seed: Sequence[Sequence[MetricRow]]) -> list[MetricRow]:
    """Return rows with means over seeds, and `sd` and `seeds` from the same rows for each seed."""
    rows: list[MetricRow] = []
    for place, row in enumerate(means):
        values = [value for seed in by_seed if (value := seed[place]["value"]) is not None]
        rows.append({**row, "sd": round(statistics.stdev(values), result_rows.DIGITS), "seeds": len(by_seed)})
    return rows


def _timing(outcome: Outcome) -> Timing:
    evaluated = list(outcome.costs.values())
    return {
        "fit_seconds": outcome.fit["fit_seconds"],
        "training_of": outcome.system.training_of,
        "evaluate_seconds": round(sum(cost["evaluate_seconds"] for cost in evaluated), 3),
        "peak_mb": max(outcome.fit["peak_mb"], *(cost["peak_mb"] for cost in evaluated)),
        "underfit": outcome.fit["underfit"],
        "oracle": outcome.system.oracle,
        "warnings": {"collapsed": reason} if (reason := outcome.fit["collapsed"]) else {},
    }


def _per_playlist(context: Context, material: Material, outcomes: Sequence[Outcome]) -> pa.Table:
    frames = []
    for part in PARTS:
        held = held_out(material.split, part)
        labels = slices.by_playlist(held, context.recipe.evaluation.slices)
        frames += [
            result_rows.frame(outcome.scores[part], held, system=outcome.system.name, split=part, labels=labels)
            for outcome in outcomes
        ]
    return pa.concat_tables(frames)

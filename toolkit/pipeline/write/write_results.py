"""From every system's scores to the files that tables, report and `continue` read."""

from __future__ import annotations

import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet

from toolkit import run_directory
from toolkit.contracts.metric import chosen
from toolkit.evaluation import result_rows, slices
from toolkit.evaluation.evaluator import Scores
from toolkit.evaluation.leaks import NEAR, OVERLAP
from toolkit.files import write_bytes
from toolkit.ingest.read_data import Ingested
from toolkit.pipeline.run.fit_systems import held_out
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, System, lender
from toolkit.pipeline.write import rankings_file
from toolkit.recipe import Recipe
from toolkit.run_directory import RunDirectory
from toolkit.seeds import derived_seed
from toolkit.timestamps import to_iso

PARTS = ("valid", "test")


@dataclass(frozen=True)
class Outcome:
    """What became of one system: its fit, and for `valid` and `test` its scores, the mean of those by seed, and their cost."""

    system: System
    fit: dict[str, Any]
    scores: dict[str, Scores]
    costs: dict[str, dict[str, Any]]
    by_seed: dict[str, list[Scores]]


def write_results(context: Context, material: Material, outcomes: Sequence[Outcome]) -> None:
    """Write metrics, values per playlist, comparisons, timings, curves and the order of the systems."""
    run, seed = context.run, derived_seed(context.recipe.seed, "evaluation")
    metrics = [row for part in PARTS for outcome in outcomes for row in _rows(context, material, outcome, part, seed)]
    run.write(run_directory.TIMINGS, {outcome.system.name: _cost(outcome) for outcome in outcomes})
    run.write(
        run_directory.CURVES,
        {outcome.system.name: outcome.fit["curve"] for outcome in outcomes if outcome.fit["curve"]},
    )
    run.write(run_directory.COMPARISONS, _comparisons(context, material, outcomes, seed))
    write_bytes(run.path(run_directory.PER_PLAYLIST), _per_playlist(context, material, outcomes))
    write_bytes(run.path(run_directory.TRACKS), _arrow(material.split.train.corpus.tracks))
    run.write(run_directory.SYSTEMS, order(metrics, [outcome.system for outcome in outcomes], decisive(context)))
    write_metric_info(run, context.recipe)
    if context.recipe.evaluation.rankings:
        split = material.split
        rankings_file.write(run, split.test, split.train.counts(), [outcome.system.name for outcome in outcomes])
    else:
        rankings_file.forget(run)
    run.write(run_directory.METRICS, metrics)


def write_metric_info(run: RunDirectory, recipe: Recipe) -> None:
    """Write what tables must know about the metrics, so that they print where a plug-in is not installed any more."""
    run.write(
        run_directory.METRIC_INFO,
        {name: asdict(metric.info) for name, metric in chosen(recipe.evaluation.metrics).items()},
    )


def table(chosen: Sequence[System], material: Material) -> list[dict[str, Any]]:
    """The content of `table.json`: of each system in the recipe's order its heading and, where it is not run, the keys that have it run."""
    grouped = any(system.group for system in chosen)
    return [
        {
            "system": system.name,
            "group": system.group or ("Others" if grouped else ""),
            "not_run": material.lacks(system),
        }
        for system in chosen
    ]


def write_data(context: Context, ingested: Ingested, material: Material) -> None:
    """Write `data.json`: sizes, split, and the records that were left out."""
    corpus, split = ingested.corpus, material.split
    counts = split.train.counts()
    held = {"valid": split.valid, "test": split.test}
    sizes = {"train": len(split.train), **{name: len(part) for name, part in held.items()}}
    context.run.write(
        run_directory.DATA,
        {
            "tracks": corpus.n_items,
            "playlists": len(corpus),
            "placements": len(corpus.items),
            "split": sizes,
            "train_placements": int(counts.sum()),
            "tracks_not_in_training": int((counts[1:] == 0).sum()),
            "near_duplicates": {
                name: int((part.labels[OVERLAP] == NEAR).sum()) for name, part in held.items() if OVERLAP in part.labels
            },
            **({"cuts": dict(zip(PARTS, map(to_iso, split.cuts), strict=True))} if split.cuts else {}),
            **({"left_out": split.facts, "left_out_examples": split.examples} if split.facts else {}),
            **({"doubles": ingested.doubles} if ingested.doubles else {}),
            "skipped": ingested.skipped,
        },
    )


def decisive(context: Context) -> tuple[str, int]:
    """Metric and k that choose the best system on validation: what the first model was selected by, else the first asked for."""
    recipe = context.recipe
    if recipe.models:
        metric, _, k = recipe.models[0].select.partition("@")
        return metric, int(k)
    metric = "ndcg" if "ndcg" in recipe.evaluation.metrics else "recall"
    return metric, recipe.evaluation.k[0]


def order(
    metrics: Sequence[Mapping[str, Any]], systems: Sequence[System], chosen_by: tuple[str, int]
) -> dict[str, Any]:
    """`model/systems.json`: how systems were compared on validation, and all of them, the best first, oracles last.

    cold: the same value on hidden tracks without a training placement, None where validation hides none of them.
    """
    metric, k = chosen_by
    reached = {
        (row["system"], row["slice"]): row["value"]
        for row in metrics
        if (row["split"], row["metric"], row["k"]) == ("valid", metric, k) and row["slice"] in ("all", "cold")
    }
    entries = [
        {**system.entry, "value": reached.get((system.name, "all")), "cold": reached.get((system.name, "cold"))}
        for system in systems
    ]
    entries.sort(key=lambda entry: (entry["oracle"], -(entry["value"] or 0.0)))
    return {"chosen_by": {"split": "valid", "slice": "all", "metric": metric, "k": k}, "systems": entries}


def _rows(context: Context, material: Material, outcome: Outcome, part: str, seed: int) -> list[dict[str, Any]]:
    evaluation, held = context.recipe.evaluation, held_out(material.split, part)
    labels = slices.by_playlist(held, evaluation.slices)

    def rows(scores: Scores, bootstrap: int) -> list[dict[str, Any]]:
        system, groups = outcome.system, held.groups()
        about: dict[str, Any] = {"system": system.name, "modalities": system.modalities, "split": part}
        return result_rows.rows(scores, **about, groups=groups, bootstrap=bootstrap, seed=seed, labels=labels)

    found, by_seed = rows(outcome.scores[part], evaluation.bootstrap), outcome.by_seed[part]
    return over_seeds(found, [rows(scores, 2) for scores in by_seed]) if len(by_seed) > 1 else found


def over_seeds(found: Sequence[dict[str, Any]], by_seed: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Rows of means over seeds with `sd` and `seeds`, of the same rows under each seed."""
    return [
        {**row, "sd": round(statistics.stdev(one["value"] for one in each), result_rows.DIGITS), "seeds": len(each)}
        for row, *each in zip(found, *by_seed, strict=True)
    ]


def _comparisons(context: Context, material: Material, outcomes: Sequence[Outcome], seed: int) -> list[dict[str, Any]]:
    reference = context.recipe.evaluation.reference or outcomes[0].system.name
    return result_rows.comparisons(
        {outcome.system.name: outcome.scores["test"] for outcome in outcomes},
        reference,
        groups=material.split.test.groups(),
        bootstrap=context.recipe.evaluation.bootstrap,
        seed=seed,
        oracles=[outcome.system.name for outcome in outcomes if outcome.system.oracle],
    )


def _cost(outcome: Outcome) -> dict[str, Any]:
    evaluated = list(outcome.costs.values())
    return {
        "fit_seconds": outcome.fit["fit_seconds"],
        "training_of": lender(outcome.system),
        "evaluate_seconds": round(sum(cost["evaluate_seconds"] for cost in evaluated), 3),
        "peak_mb": max(outcome.fit["peak_mb"], *(cost["peak_mb"] for cost in evaluated)),
        "underfit": outcome.fit["underfit"],
        "oracle": outcome.system.oracle,
    }


def _per_playlist(context: Context, material: Material, outcomes: Sequence[Outcome]) -> pa.BufferOutputStream:
    parts = {part: held_out(material.split, part) for part in PARTS}
    labels = {part: slices.by_playlist(held, context.recipe.evaluation.slices) for part, held in parts.items()}
    frames = [
        result_rows.frame(outcome.scores[part], held, system=outcome.system.name, split=part, labels=labels[part])
        for part, held in parts.items()
        for outcome in outcomes
    ]
    buffer = io.BytesIO()
    parquet.write_table(pa.concat_tables(frames), buffer, compression="zstd")
    return buffer.getvalue()


def _arrow(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    feather.write_feather(table, buffer, compression="zstd")
    return buffer.getvalue()

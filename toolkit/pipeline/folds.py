"""Cross-validation, `evaluation.split.test_fold: all`: a run for each fold, and every playlist's one test value in one table.

Each fold is fitted, chosen and tested by itself, so that nothing of a test playlist is seen. Intervals and differences are taken over the
playlists of all folds, versions of one together, which are as many as there are; means of folds would be as few as folds.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from toolkit import runs
from toolkit.compute import derived_seed
from toolkit.evaluation import tables
from toolkit.evaluation.evaluator import Scores
from toolkit.files import write_bytes
from toolkit.pipeline.results import PARTS
from toolkit.recipe import Recipe
from toolkit.recipe.evaluation import ALL
from toolkit.runs import RunDirectory

COLUMNS = frozenset({"system", "split", "row", "playlist", "group", "slice", "metric", "k", "value"})
"""Of `per_playlist.parquet`; what else is there are labels."""


def dealt(recipe: Recipe) -> dict[str, Recipe]:
    """A recipe of each fold by the name of its folder, where `recipe` asks for all of them; else nothing."""
    split = recipe.evaluation.split
    if split.test_fold != ALL:
        return {}
    found = {}
    for fold in range(split.folds):
        evaluation = recipe.evaluation.model_copy(update={"split": split.model_copy(update={"test_fold": fold})})
        found[f"fold-{fold}"] = recipe.model_copy(update={"evaluation": evaluation})
    return found


def pool(recipe: Recipe, folds: Mapping[str, RunDirectory], run: RunDirectory) -> list[dict[str, Any]]:
    """Write the joint tables of finished runs, by name, and the report into `run`; returns the rows of its `metrics.json`.

    Seconds are means over folds, peaks the highest. Validation rows are of all folds' validation lists, where a list may count several
    times. What is of one fold alone (curves, examples, maps, metrics without a value per playlist) stays in its folder.
    """
    from toolkit.report.page import render

    each = list(folds.values())
    frames = [parquet.read_table(one.path(runs.PER_PLAYLIST)) for one in each]
    joined = pa.concat_tables([frame.append_column("fold", pa.repeat(place, len(frame))) for place, frame in enumerate(frames)])
    orders, seed = [one.read(runs.SYSTEMS) for one in each], derived_seed(recipe.seed, "evaluation")
    about = {entry["system"]: entry for entry in orders[0]["systems"]}
    names = [system for system in each[0].read(runs.TIMINGS) if all(system in one.read(runs.TIMINGS) for one in each)]
    parts = {part: _part(joined.filter(pc.field("split") == part), names) for part in PARTS}
    rows = [
        row
        for part, (scores, groups, labels) in parts.items()
        for system in names
        for row in tables.rows(
            scores[system], system=system, modalities=about[system]["modalities"], split=part,
            groups=groups, bootstrap=recipe.evaluation.bootstrap, seed=seed, labels=labels,
        )
    ]  # fmt: skip
    scores, groups, _ = parts["test"]
    oracles = [system for system in names if about[system]["oracle"]]
    told = tables.comparisons(
        scores, recipe.evaluation.reference or names[0], groups=groups, bootstrap=recipe.evaluation.bootstrap, seed=seed, oracles=oracles
    )
    run.write(runs.FOLDS, [os.path.relpath(one.root, run.root) for one in each])
    for name in (runs.MANIFEST, runs.COVERAGE, runs.TABLE):
        run.write(name, each[0].read(name))
    run.write(runs.DATA, _data([one.read(runs.DATA) for one in each]))
    run.write(runs.TIMINGS, _costs([one.read(runs.TIMINGS) for one in each], names))
    run.write(runs.CURVES, {})
    run.write(runs.EXAMPLES, [])
    run.write(runs.COMPARISONS, told)
    write_bytes(run.path(runs.PER_PLAYLIST), _packed(joined.drop(["fold"])))
    run.write(runs.SYSTEMS, _order(orders, names))
    run.write(runs.METRICS, rows)
    render(run.root)
    return rows


def _part(table: pa.Table, names: Sequence[str]) -> tuple[dict[str, Scores], np.ndarray, dict[str, np.ndarray]]:
    """Scores of each system on the lists of all folds, the lists' groups int64 [n], and their labels by kind."""
    keys = table["fold"].to_numpy().astype(np.int64) << 40 | table["row"].to_numpy()
    lists, first, place = np.unique(keys, return_index=True, return_inverse=True)
    groups = np.unique(table["group"].cast(pa.string()).to_numpy(zero_copy_only=False), return_inverse=True)[1][first]
    kinds = [name for name in table.column_names if name not in COLUMNS and name != "fold"]
    labels = {kind: table[kind].to_numpy(zero_copy_only=False)[first] for kind in kinds}
    table = table.select(["system", "slice", "metric", "k", "value"]).append_column("place", pa.array(place.astype(np.int64)))
    return {name: _scores(table.filter(pc.field("system") == name), len(lists)) for name in names}, groups, labels


def _scores(table: pa.Table, n: int) -> Scores:
    """One system's values in lists' order; NaN, and nothing hidden, where a list has none in a slice."""
    values: dict[tuple[str, str, int], np.ndarray] = {}
    hidden: dict[str, np.ndarray] = {}
    codes = table.select(["slice", "metric", "k"]).group_by(["slice", "metric", "k"], use_threads=False).aggregate([]).to_pylist()
    for key in codes:
        chosen = (pc.field("slice") == key["slice"]) & (pc.field("metric") == key["metric"]) & (pc.field("k") == key["k"])
        mine = table.filter(chosen)
        column = np.full(n, np.nan)
        column[mine["place"].to_numpy()] = mine["value"].to_numpy()
        values[key["slice"], key["metric"], key["k"]] = column
        hidden[key["slice"]] = (~np.isnan(column)).astype(np.int64)
    return Scores(values, hidden, np.zeros((n, 0), np.int32))


def _data(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sizes: of training the mean over folds, of validation and test the sum, near-duplicates too; the rest is of the first fold."""

    def mean(key: str) -> int:
        return round(fmean(one[key] for one in each))

    split = {"train": round(fmean(one["split"]["train"] for one in each))}
    sums = {part: sum(one["split"][part] for one in each) for part in PARTS}
    near = {part: sum(one["near_duplicates"][part] for one in each) for part in each[0]["near_duplicates"]}
    means = {key: mean(key) for key in ("train_placements", "tracks_not_in_training")}
    return {**each[0], **means, "folds": len(each), "split": {**split, **sums}, "near_duplicates": near}


def _costs(each: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    return {
        system: {
            "fit_seconds": round(fmean(one[system]["fit_seconds"] for one in each), 3),
            "evaluate_seconds": round(fmean(one[system]["evaluate_seconds"] for one in each), 3),
            "peak_mb": max(one[system]["peak_mb"] for one in each),
            "underfit": any(one[system]["underfit"] for one in each),
            "oracle": each[0][system]["oracle"],
        }
        for system in names
    }


def _order(each: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """`model/systems.json` by the mean of the folds' values on validation."""
    reached = [{entry["system"]: entry["value"] or 0.0 for entry in one["systems"]} for one in each]
    kept = [{key: entry[key] for key in entry if key != "cold"} for entry in each[0]["systems"] if entry["system"] in names]
    entries = [{**entry, "value": fmean(one[entry["system"]] for one in reached)} for entry in kept]
    entries.sort(key=lambda entry: (entry["oracle"], -entry["value"]))
    return {"chosen_by": each[0]["chosen_by"], "systems": entries}


def _packed(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()

"""The joint tables of a cross-validation: every playlist's one test value of all folds, and what follows from them.

Intervals and differences are taken over the playlists of all folds, versions of one together, which are as many as there are; means of
folds would be as few as folds.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from toolkit import run_directory
from toolkit.contracts.metric import SystemMetric, chosen
from toolkit.errors import RunDirectoryError
from toolkit.evaluation import result_rows
from toolkit.evaluation.evaluator import Scores
from toolkit.files import write_bytes
from toolkit.pipeline.figures import attribution
from toolkit.pipeline.run import fit_systems, systems
from toolkit.pipeline.write import rankings_file
from toolkit.pipeline.write.write_results import PARTS, over_seeds, write_metric_info
from toolkit.recipe import Recipe
from toolkit.run_directory import RunDirectory
from toolkit.seeds import derived_seed

COLUMNS = frozenset({"system", "split", "row", "playlist", "group", "slice", "metric", "k", "value"})
"""Of `per_playlist.parquet`; what else is there are labels."""


def pool(recipe: Recipe, folds: Mapping[str, RunDirectory], run: RunDirectory) -> list[dict[str, Any]]:
    """Write the joint tables of finished runs, by name, and the report into `run`; returns the rows of its `metrics.json`.

    Seconds are means over folds, peaks the highest, and so are metrics without a value per playlist means. Validation rows are
    of all folds' validation lists, where a list may count several times. Curves, examples, maps and tags stay in each fold's folder.
    Raises `RunDirectoryError` where a file of a fold is missing or damaged.
    """
    from toolkit.report.page import render

    each = list(folds.values())
    frames = [_values(one) for one in each]
    joined = _joined(frames)
    orders, seed = [one.read(run_directory.SYSTEMS) for one in each], derived_seed(recipe.seed, "evaluation")
    about = {entry["system"]: entry for entry in orders[0]["systems"]}
    names = [
        system
        for system in each[0].read(run_directory.TIMINGS)
        if all(system in one.read(run_directory.TIMINGS) for one in each)
    ]
    lists = {part: _Lists.of(joined.filter(pc.field("split") == part)) for part in PARTS}
    found = [one.read(run_directory.METRICS) for one in each]
    of_system = {name for name, metric in chosen(recipe.evaluation.metrics).items() if isinstance(metric, SystemMetric)}
    scores = {
        (part, system): lists[part].scores(_of(joined, system, part), _overall(found, of_system, system, part))
        for part in PARTS
        for system in names
    }

    def rows_of(system: str, part: str, values: Scores, bootstrap: int) -> list[dict[str, Any]]:
        told: dict[str, Any] = {"system": system, "modalities": about[system]["modalities"], "split": part}
        groups, labels = lists[part].groups, lists[part].labels
        return result_rows.rows(values, **told, groups=groups, bootstrap=bootstrap, seed=seed, labels=labels)

    rows = []
    for (part, system), values in scores.items():
        made = rows_of(system, part, values, recipe.evaluation.bootstrap)
        if any(row["system"] == system and "sd" in row for row in found[0]):
            seeds = [system, *(systems.under_seed(system, other) for other in (recipe.seeds or [])[1:])]
            by_seed = [lists[part].scores(*_stored(each, frames, system, part, name)) for name in seeds]
            made = over_seeds(made, [rows_of(system, part, one, 2) for one in by_seed])
        rows += made
    oracles = [system for system in names if about[system]["oracle"]]
    tested = {system: scores["test", system] for system in names}
    groups, bootstrap = lists["test"].groups, recipe.evaluation.bootstrap
    told = result_rows.comparisons(
        tested, recipe.evaluation.reference or names[0], groups=groups, bootstrap=bootstrap, seed=seed, oracles=oracles
    )
    run.write(run_directory.FOLDS, [os.path.relpath(one.root, run.root) for one in each])
    for name in (run_directory.MANIFEST, run_directory.COVERAGE, run_directory.TABLE):
        run.write(name, each[0].read(name))
    run.write(run_directory.DATA, _data([one.read(run_directory.DATA) for one in each]))
    run.write(run_directory.TIMINGS, _costs([one.read(run_directory.TIMINGS) for one in each], names))
    run.write(run_directory.CURVES, {})
    run.write(run_directory.EXAMPLES, [])
    run.write(run_directory.COMPARISONS, told)
    if recipe.evaluation.attribution:
        run.write(run_directory.ATTRIBUTION, _attribution(recipe, each, frames, lists["test"], tested))
    if recipe.evaluation.rankings:
        rankings_file.join(run, each, names)
    else:
        rankings_file.forget(run)
    write_bytes(run.path(run_directory.PER_PLAYLIST), _packed(joined.drop(["fold"])))
    run.write(run_directory.SYSTEMS, _order(orders[0], rows, names))
    write_metric_info(run, recipe)
    run.write(run_directory.METRICS, rows)
    render(run.root)
    return rows


@dataclass(frozen=True)
class _Lists:
    """The lists of one part in all folds. keys: int64 [n], rising, of fold and row; groups: int64 [n]; labels by kind: text [n]."""

    keys: np.ndarray
    groups: np.ndarray
    labels: dict[str, np.ndarray]

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        keys, first = np.unique(_keys(table), return_index=True)
        table = table.take(pa.array(first))
        kinds = [name for name in table.column_names if name not in COLUMNS and name != "fold"]
        groups = np.unique(table["group"].cast(pa.string()).to_numpy(zero_copy_only=False), return_inverse=True)[1]
        return cls(keys, groups, {kind: table[kind].to_numpy(zero_copy_only=False) for kind in kinds})

    def scores(self, table: pa.Table, overall: Mapping[tuple[str, int], float] | None = None) -> Scores:
        """One system's values in lists' order; NaN, and nothing hidden, where a list has none in a slice."""
        table = table.select(["slice", "metric", "k", "value"]).append_column(
            "place", pa.array(np.searchsorted(self.keys, _keys(table)))
        )
        values: dict[tuple[str, str, int], np.ndarray] = {}
        hidden: dict[str, np.ndarray] = {}
        codes = (
            table.select(["slice", "metric", "k"])
            .group_by(["slice", "metric", "k"], use_threads=False)
            .aggregate([])
            .to_pylist()
        )
        for key in codes:
            chosen = (
                (pc.field("slice") == key["slice"])
                & (pc.field("metric") == key["metric"])
                & (pc.field("k") == key["k"])
            )
            mine = table.filter(chosen)
            column = np.full(len(self.keys), np.nan)
            column[mine["place"].to_numpy()] = mine["value"].to_numpy()
            values[key["slice"], key["metric"], key["k"]] = column
            hidden[key["slice"]] = (~np.isnan(column)).astype(np.int64)
        return Scores(values, hidden, np.zeros((len(self.keys), 0), np.int32), dict(overall or {}))


def _keys(table: pa.Table) -> np.ndarray:
    return np.asarray(table["fold"].to_numpy().astype(np.int64) << 40 | table["row"].to_numpy())


def _values(run: RunDirectory) -> pa.Table:
    path = run.path(run_directory.PER_PLAYLIST)
    try:
        return parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise RunDirectoryError(
            f"{path} cannot be read ({_line(error)}): delete it and run the same command again"
        ) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _joined(frames: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(
        [frame.append_column("fold", pa.repeat(place, len(frame))) for place, frame in enumerate(frames)]
    )


def _of(table: pa.Table, system: str, part: str) -> pa.Table:
    return table.filter((pc.field("system") == system) & (pc.field("split") == part))


def _stored(
    each: Sequence[RunDirectory], frames: Sequence[pa.Table], system: str, part: str, name: str
) -> tuple[pa.Table, dict[tuple[str, int], float]]:
    """The rows of a system in all folds with the values of `name`: the same under another seed, or a variant; and its values of no list."""
    found, overall = [], []
    for run, frame in zip(each, frames, strict=True):
        path = fit_systems.scores_file(run, name, part)
        try:
            scores = fit_systems.unpacked(path)
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise RunDirectoryError(
                f"{path} cannot be read ({_line(error)}): delete {run.root} and run the same command again"
            ) from None
        # in the order of `tables.frame`: key after key, and within each the lists that have a value
        values = np.concatenate([column[~np.isnan(column)] for column in scores.values.values()])
        mine = _of(frame, system, part)
        found.append(mine.set_column(mine.column_names.index("value"), "value", pa.array(values)))
        overall.append(scores.overall)
    return _joined(found), {key: fmean(one[key] for one in overall) for key in overall[0]}


def _overall(
    each: Sequence[Sequence[Mapping[str, Any]]], metrics: Collection[str], system: str, part: str
) -> dict[tuple[str, int], float]:
    """Of a system's values by `metrics` that have none per playlist, by metric and k, the mean over folds."""
    found: dict[tuple[str, int], list[float]] = {}
    for rows in each:
        for row in rows:
            if (row["system"], row["split"]) == (system, part) and row["metric"] in metrics:
                found.setdefault((row["metric"], row["k"]), []).append(row["value"])
    return {key: fmean(values) for key, values in found.items()}


def _attribution(
    recipe: Recipe,
    each: Sequence[RunDirectory],
    frames: Sequence[pa.Table],
    lists: _Lists,
    tested: Mapping[str, Scores],
) -> dict[str, list[dict[str, Any]]]:
    """`attribution.json` over the test playlists of all folds; learned weights are means over folds."""
    found = [one.read(run_directory.ATTRIBUTION) for one in each]
    variants = [
        dict.fromkeys((row["system"], row["modality"], row["way"]) for row in one["differences"]) for one in found
    ]
    differences: list[dict[str, Any]] = []
    for system, modality, way in variants[0]:
        if all((system, modality, way) in one for one in variants):
            less = lists.scores(_stored(each, frames, system, "test", attribution.VARIANTS[way](system, modality))[0])
            differences += attribution.differences_of(recipe, system, modality, way, tested[system], less, lists.groups)
    weights: dict[tuple[str, str, str], list[float]] = {}
    for row in (row for one in found for row in one["weights"]):
        weights.setdefault((row["system"], row["modality"], row["of"]), []).append(row["value"])
    means = [
        {"system": system, "modality": modality, "of": of, "value": round(fmean(told), 6)}
        for (system, modality, of), told in weights.items()
    ]
    return {"differences": differences, "weights": means}


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
            "training_of": each[0][system].get("training_of", ""),
            "underfit": any(one[system]["underfit"] for one in each),
            "oracle": each[0][system]["oracle"],
        }
        for system in names
    }


def _order(order: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """`model/systems.json` by the joint values on validation, as the page tells them."""
    by = order["chosen_by"]
    wanted = tuple(by[key] for key in ("split", "slice", "metric", "k"))
    reached = {
        row["system"]: row["value"] for row in rows if (row["split"], row["slice"], row["metric"], row["k"]) == wanted
    }
    kept = [
        {key: entry[key] for key in entry if key != "cold"} for entry in order["systems"] if entry["system"] in names
    ]
    entries = [{**entry, "value": reached.get(entry["system"])} for entry in kept]
    entries.sort(key=lambda entry: (entry["oracle"], -(entry["value"] or 0.0)))
    return {"chosen_by": by, "systems": entries}


def _packed(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()

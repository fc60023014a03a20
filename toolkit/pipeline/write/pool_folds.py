"""Pooling of the folds of a cross-validation: one test value for each playlist, and tables over all playlists.

Intervals and differences are computed over the playlists of all folds, with all versions of a playlist together. Means
over folds would have only as many values as folds.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Self
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toolkit import run_directory
from toolkit.contracts.metric import SystemMetric, chosen
from toolkit.evaluation import result_rows
from toolkit.evaluation.evaluator import Scores
from toolkit.evaluation.split_size import independent
from toolkit.files import write_bytes
from toolkit.pipeline.figures import attribution
from toolkit.pipeline.run import fit_systems, systems
from toolkit.pipeline.write import rankings_file
from toolkit.pipeline.write.baseline_floor import below_floor
from toolkit.pipeline.write.write_results import (
    PARTS,
    Results,
    best_first,
    compared,
    marked,
    over_seeds,
    write_metric_info,
)
from toolkit.progress import Reporter
from toolkit.recipe import Recipe
from toolkit.result_types import (
    Attribution,
    AttributionRow,
    DataFacts,
    MetricRow,
    SystemEntry,
    SystemOrder,
    TableRow,
    Timing,
)
from toolkit.seeds import derived_seed

COLUMNS = frozenset({"system", "split", "row", "playlist", "group", "slice", "metric", "k", "value"})
"""Columns of `per_playlist.parquet`; all others are labels."""


def pool(
    recipe: Recipe,
    folds: Mapping[str, run_directory.RunDirectory],
    run: run_directory.RunDirectory,
    reporter: Reporter,
) -> Results:
    """Write the pooled tables of finished runs, by name, and the report to `run`.

    A system that failed in a fold is listed with the reason, and has no values. Seconds are means over folds, and peaks
    are maxima. Metrics without values per playlist are means over folds. Validation rows pool the validation playlists
    of all folds, which may repeat a playlist. Curves, examples, maps and tags remain in the folders of the folds.

    Raises `RunDirectoryError` if a file of a fold is missing or damaged.
    """
    from toolkit.report.page import render

    runs, evaluation, seed = list(folds.values()), recipe.evaluation, derived_seed(recipe.seed, "evaluation")
    frames = [fold.read_table(run_directory.PER_PLAYLIST) for fold in runs]
    table = _with_fold(frames)
    orders = [fold.read(run_directory.SYSTEMS) for fold in runs]
    fold_timings = [
        _without_floor(fold.read(run_directory.TIMINGS), order) for fold, order in zip(runs, orders, strict=True)
    ]
    entries = {entry["system"]: entry for entry in orders[0]["systems"]}
    names = [system for system in fold_timings[0] if all(system in timings for timings in fold_timings)]
    lists = {part: _Lists.of(table.filter(pc.field("split") == part)) for part in PARTS}
    fold_rows = [fold.read(run_directory.METRICS) for fold in runs]
    of_system = {name for name, metric in chosen(evaluation.metrics).items() if isinstance(metric, SystemMetric)}
    scores = {
        (part, system): lists[part].scores(_of(table, system, part), _overall(fold_rows, of_system, system, part))
        for part in PARTS
        for system in names
    }

    def rows_of(system: str, part: str, values: Scores, bootstrap: int) -> list[MetricRow]:
        return result_rows.rows(
            values,
            system=system,
            modalities=entries[system]["modalities"],
            split=part,
            groups=lists[part].groups,
            bootstrap=bootstrap,
            seed=seed,
            labels=lists[part].labels,
        )

    metrics: list[MetricRow] = []
    for (part, system), values in scores.items():
        rows = rows_of(system, part, values, evaluation.bootstrap)
        if any(row["system"] == system and "sd" in row for row in fold_rows[0]):
            seeds = [system, *(systems.name_under_seed(system, other) for other in (recipe.seeds or [])[1:])]
            by_seed = [lists[part].scores(*_stored(runs, frames, system, part, name)) for name in seeds]
            rows = over_seeds(rows, [rows_of(system, part, each, 2) for each in by_seed])
        metrics += rows
    tested = {system: scores["test", system] for system in names}
    oracles = [system for system in names if entries[system]["oracle"]]
    comparisons = compared(recipe, reporter, tested, lists["test"].groups, oracles=oracles)
    ranked = _order(orders, metrics, names)
    timings = marked(_timings(fold_timings, names), ranked)
    run.write(run_directory.FOLDS, [os.path.relpath(fold.root, run.root) for fold in runs])
    headings = _table({name: fold.read(run_directory.TABLE) for name, fold in folds.items()})
    run.write(run_directory.TABLE, headings)
    write_bytes(run.path(run_directory.MANIFEST), runs[0].path(run_directory.MANIFEST).read_bytes())
    # a choice of an encoder is of its fold
    coverage = [row for row in runs[0].read(run_directory.COVERAGE) if "chosen" not in row]
    run.write(run_directory.COVERAGE, coverage)
    facts = _data([fold.read(run_directory.DATA) for fold in runs])
    facts["independent"] = {part: round(independent(of_part.groups), 1) for part, of_part in lists.items()}
    run.write(run_directory.DATA, facts)
    run.write(run_directory.TIMINGS, timings)
    run.write(run_directory.CURVES, {})
    run.write(run_directory.EXAMPLES, [])
    run.write(run_directory.COMPARISONS, comparisons)
    if evaluation.attribution:
        run.write(run_directory.ATTRIBUTION, _attribution(recipe, runs, frames, lists["test"], tested))
    if evaluation.rankings:
        rankings_file.join(run, runs, names)
    else:
        rankings_file.forget(run)
    run.write_table(run_directory.PER_PLAYLIST, table.drop(["fold"]))
    run.write(run_directory.SYSTEMS, ranked)
    write_metric_info(run, recipe)
    run.write(run_directory.METRICS, metrics)
    render(run.root)
    examples = runs[0].read(run_directory.EXAMPLES)
    return Results(metrics, timings, comparisons, headings, examples, runs[0].root)


@dataclass(frozen=True)
class _Lists:
    """Playlists of one part in all folds.

    - keys: int64 [n], ascending, from fold and row.
    - groups: int64 [n].
    - labels: text [n], by kind.
    """

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
        """Return the values of one system in playlist order.

        The value is NaN, with no hidden tracks, for a playlist without a value in a slice.
        """
        table = table.select(["slice", "metric", "k", "value"]).append_column(
            "place", pa.array(np.searchsorted(self.keys, _keys(table)))
        )
        values: dict[tuple[str, str, int], np.ndarray] = {}
        hidden: dict[str, np.ndarray] = {}
        for key in (
            table.select(["slice", "metric", "k"])
            .group_by(["slice", "metric", "k"], use_threads=False)
            .aggregate([])
            .to_pylist()
        ):
            mine = table.filter(
                (pc.field("slice") == key["slice"])
                & (pc.field("metric") == key["metric"])
                & (pc.field("k") == key["k"])
            )
            column = np.full(len(self.keys), np.nan)
            column[mine["place"].to_numpy()] = mine["value"].to_numpy()
            values[key["slice"], key["metric"], key["k"]] = column
            hidden[key["slice"]] = (~np.isnan(column)).astype(np.int64)
        return Scores(values, hidden, np.zeros((len(self.keys), 0), np.int32), dict(overall or {}))


def _keys(table: pa.Table) -> np.ndarray:
    return np.asarray(table["fold"].to_numpy().astype(np.int64) << 40 | table["row"].to_numpy())


def _with_fold(frames: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(
        [frame.append_column("fold", pa.repeat(place, len(frame))) for place, frame in enumerate(frames)]
    )


def _of(table: pa.Table, system: str, part: str) -> pa.Table:
    return table.filter((pc.field("system") == system) & (pc.field("split") == part))


def _stored(
    runs: Sequence[run_directory.RunDirectory], frames: Sequence[pa.Table], system: str, part: str, name: str
) -> tuple[pa.Table, dict[tuple[str, int], float]]:
    """Return the rows of a system in all folds with the values of `name`, a replica or variant of that system.

    Values without a playlist are also returned, as means over folds.
    """
    tables, overall = [], []
    for run, frame in zip(runs, frames, strict=True):
        path = fit_systems.scores_file(run, name, part)
        try:
            scores = fit_systems.unpacked(path)
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise run_directory.unreadable(path, error, run.root) from None
        # in the order of `result_rows.frame`: key after key, and within each the playlists that have a value
        values = np.concatenate([column[~np.isnan(column)] for column in scores.values.values()])
        rows = _of(frame, system, part)
        tables.append(rows.set_column(rows.column_names.index("value"), "value", pa.array(values)))
        overall.append(scores.overall)
    return _with_fold(tables), {key: fmean(each[key] for each in overall) for key in overall[0]}


def _overall(
    fold_rows: Sequence[Sequence[MetricRow]], metrics: Collection[str], system: str, part: str
) -> dict[tuple[str, int], float]:
    """Return a system's values for metrics without values per playlist, as means over folds, by metric and k."""
    values: dict[tuple[str, int], list[float]] = {}
    for row in (row for rows in fold_rows for row in rows):
        if (row["system"], row["split"]) == (system, part) and row["metric"] in metrics and row["value"] is not None:
            values.setdefault((row["metric"], row["k"] or 0), []).append(row["value"])
    return {key: fmean(of_folds) for key, of_folds in values.items()}


def _attribution(
    recipe: Recipe,
    runs: Sequence[run_directory.RunDirectory],
    frames: Sequence[pa.Table],
    lists: _Lists,
    tested: Mapping[str, Scores],
) -> Attribution:
    """Return `attribution.json` over the test playlists of all folds. Learned weights are means over folds."""
    of_folds = [run.read(run_directory.ATTRIBUTION) for run in runs]
    rows = [fold.get("differences", []) for fold in of_folds]
    variants = [dict.fromkeys((row["system"], row["modality"], row["way"]) for row in fold) for fold in rows]
    differences: list[AttributionRow] = []
    for system, modality, way in variants[0]:
        if all((system, modality, way) in others for others in variants):
            name = attribution.VARIANTS[way](system, modality)
            pair = (tested[system], lists.scores(_stored(runs, frames, system, "test", name)[0]))
            differences += attribution.differences_of(recipe, system, modality, way, pair, lists.groups)
    attribution.correct(differences)
    weights: dict[tuple[str, str, str], list[float]] = {}
    for row in (row for fold in of_folds for row in fold.get("weights", []) if row["system"] in tested):
        weights.setdefault((row["system"], row["modality"], row["of"]), []).append(row["value"])
    return {
        "differences": differences,
        "weights": [
            {"system": system, "modality": modality, "of": of, "value": round(fmean(values), 6)}
            for (system, modality, of), values in weights.items()
        ],
    }


def _data(folds: Sequence[DataFacts]) -> DataFacts:
    """Return `data.json` over all folds.

    Training sizes are means over folds. Sizes of validation and test, and what they share with training, are sums.
    Other facts are those of the first fold.
    """
    first = folds[0]
    data: DataFacts = {
        **first,
        "train_placements": round(fmean(fold["train_placements"] for fold in folds)),
        "tracks_not_in_training": round(fmean(fold["tracks_not_in_training"] for fold in folds)),
        "folds": len(folds),
        "split": {
            "train": round(fmean(fold["split"]["train"] for fold in folds)),
            **{part: sum(fold["split"][part] for fold in folds) for part in PARTS},
        },
        "near_duplicates": {
            part: sum(fold["near_duplicates"][part] for fold in folds) for part in first["near_duplicates"]
        },
    }
    if shared := [fold["recordings_in_training"] for fold in folds if "recordings_in_training" in fold]:
        data["recordings_in_training"] = {part: sum(counts[part] for counts in shared) for part in PARTS}
    return data


def _table(folds: Mapping[str, Sequence[TableRow]]) -> list[TableRow]:
    """Return `table.json` over all folds, by name. A reason names the folds in which the system failed."""
    rows: list[TableRow] = []
    for place, row in enumerate(next(iter(folds.values()))):
        failed = {name: table[place]["failed"] for name, table in folds.items() if "failed" in table[place]}
        first = next(iter(failed.values()), "")
        names = ", ".join(failed)
        plain: TableRow = {"system": row["system"], "group": row["group"], "not_run": row["not_run"]}
        rows.append({**plain, "failed": f"{names}: {first}"} if failed else plain)
    return rows


def _timings(folds: Sequence[Mapping[str, Timing]], names: Sequence[str]) -> dict[str, Timing]:
    return {
        system: {
            "fit_seconds": round(fmean(timings[system]["fit_seconds"] for timings in folds), 3),
            "evaluate_seconds": round(fmean(timings[system]["evaluate_seconds"] for timings in folds), 3),
            "peak_mb": max(timings[system]["peak_mb"] for timings in folds),
            "training_of": folds[0][system].get("training_of", ""),
            "underfit": any(timings[system]["underfit"] for timings in folds),
            "oracle": folds[0][system]["oracle"],
            "warnings": {word: why for timings in folds for word, why in timings[system]["warnings"].items()},
        }
        for system in names
    }


def _without_floor(timings: Mapping[str, Timing], order: SystemOrder) -> dict[str, Timing]:
    """Return the timings of a fold without its own comparison with the floor, which pooling repeats for all folds."""
    below = {(system, word) for system, word, _ in below_floor(order)}
    return {
        system: {
            **timing,
            "warnings": {word: why for word, why in timing.get("warnings", {}).items() if (system, word) not in below},
        }
        for system, timing in timings.items()
    }


def _order(orders: Sequence[SystemOrder], rows: Sequence[MetricRow], names: Sequence[str]) -> SystemOrder:
    """Return `model/systems.json` by the pooled validation values."""
    order = orders[0]
    by = order["chosen_by"]
    reached = {
        row["system"]: row["value"]
        for row in rows
        if (row["split"], row["slice"], row["metric"], row["k"]) == (by["split"], by["slice"], by["metric"], by["k"])
    }
    entries: list[SystemEntry] = [
        {
            "system": entry["system"],
            "ranker": entry["ranker"],
            "modalities": entry["modalities"],
            "oracle": entry["oracle"],
            "value": reached.get(entry["system"]),
        }
        for entry in order["systems"]
        if entry["system"] in names
    ]
    pooled: SystemOrder = {"chosen_by": by, "systems": best_first(entries)}
    floors = [each["floor"] for each in orders if "floor" in each]
    if len(floors) == len(orders):  # folds of earlier versions have none
        least = floors[0]["system"]
        value = reached.get(least) if least in names else None
        pooled["floor"] = {
            "system": least,
            "value": fmean(each["value"] for each in floors) if value is None else value,
        }
    return pooled

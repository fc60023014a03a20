"""Conversion of values per playlist to rows of `metrics.json`, `per_playlist.parquet` and `comparisons.json`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.contracts.metric import value_range
from toolkit.corpus.splits import HeldOut
from toolkit.errors import InputError
from toolkit.evaluation.evaluator import Key, Scores
from toolkit.evaluation.significance import Difference, holm, paired_differences
from toolkit.evaluation.statistics import Interval, Range, are_versions, mean_intervals
from toolkit.plugins import suggest
from toolkit.result_types import AttributionRow, ComparisonRow, MetricRow
from toolkit.seeds import derived_seed

Paired = TypeVar("Paired", ComparisonRow, AttributionRow)

DIGITS = 8
"""Decimals of every number in a file, so that equal runs write identical bytes."""

Measured = tuple[str, Key, Interval]
"""A slice, the key of its values, and the mean with an interval."""


def rows(
    scores: Scores,
    *,
    system: str,
    modalities: Sequence[str],
    split: str,
    groups: np.ndarray,
    bootstrap: int,
    seed: int,
    labels: Mapping[str, np.ndarray] | None = None,
) -> list[MetricRow]:
    """Return rows of `metrics.json`: means over playlists per slice, metric and k, with 95 % intervals.

    - groups: int64 [n], from `HeldOut.groups`. If groups repeat, they are resampled as units, and the slice `macro` has
      the mean over groups for the slice `all`.
    - labels: labels of playlists by kind, for further slices named `kind:label`.

    Slices without hidden tracks have no rows. Bounds are None with fewer than two groups.
    """
    seed = derived_seed(seed, "bootstrap", split)
    measured = [*_slices_measured(scores, groups, bootstrap=bootstrap, seed=seed)]
    measured += [
        ("all", ("all", *key), Interval(value, np.nan, np.nan, len(scores))) for key, value in scores.overall.items()
    ]  # values of a system as a whole, which have no interval
    measured += _labels_measured(scores, labels or {}, groups, bootstrap=bootstrap, seed=seed)
    return [
        {
            "system": system,
            "modalities": list(modalities),
            "split": split,
            "slice": name,
            "metric": metric,
            "k": k,
            "value": _number(interval.value),
            "ci_low": _number(interval.low),
            "ci_high": _number(interval.high),
            "n": interval.n,
        }
        for name, (_, metric, k), interval in measured
    ]


def frame(
    scores: Scores, held_out: HeldOut, *, system: str, split: str, labels: Mapping[str, np.ndarray] | None = None
) -> pa.Table:
    """Return rows of `per_playlist.parquet`.

    Columns: system, split, row (of the playlist in the corpus), playlist, group, slice, metric, k, value, and a column
    for each kind of label. Playlists without hidden tracks in a slice have no rows for this slice.
    """
    names = held_out.corpus.playlists.select(["id", "group"]).take(pa.array(held_out.rows))
    ids = names["id"].combine_chunks()
    groups = pc.coalesce(names["group"].combine_chunks().cast(ids.type), ids)
    columns = {kind: pa.array(label.tolist(), pa.string()) for kind, label in sorted((labels or {}).items())}
    parts = [_frame_part(key, values, held_out.rows, ids, groups, columns) for key, values in scores.values.items()]
    table = pa.concat_tables(parts)
    for place, (name, value) in enumerate((("system", system), ("split", split))):
        table = table.add_column(place, name, pa.repeat(value, table.num_rows))
    return table


COMPARED = ("all", "warm", "cold")
"""Slices in which systems are compared. Tests in further slices would reduce the power of each test."""


def comparisons(
    all_scores: Mapping[str, Scores],
    reference: str,
    *,
    groups: np.ndarray,
    bootstrap: int,
    seed: int,
    split: str = "test",
    oracles: Collection[str] = (),
) -> list[ComparisonRow]:
    """Return paired differences system − reference over the same playlists for all other systems.

    The difference is computed for every slice, metric and k.

    The corrected p-values are over all systems except `oracles` in the same slice, metric and k.

    Raises `InputError` if `reference` is not a system of the run.
    """
    if reference not in all_scores:
        raise InputError(f"reference {reference!r} is not a system of this run: {suggest(reference, list(all_scores))}")
    resampled = "groups" if are_versions(groups) else "playlists"
    seed = derived_seed(seed, "bootstrap", split)
    table: list[ComparisonRow] = [
        {
            "system": system,
            "reference": reference,
            "slice": name,
            "metric": metric,
            "k": k,
            "difference": _number(difference.value),
            "ci_low": _number(difference.low),
            "ci_high": _number(difference.high),
            "p": _number(difference.p),
            "p_t": _number(difference.p_t),
            "p_floor": _number(difference.p_floor),
            "test": difference.test,
            "detectable": _number(difference.detectable),
            "n": difference.n,
            "independent": round(difference.independent, 2),
            "resampled": resampled,
        }
        for system, scores in all_scores.items()
        if system != reference
        for (name, metric, k), difference in _differences(
            scores, all_scores[reference], groups, bootstrap=bootstrap, seed=seed
        )
    ]
    correct((row for row in table if row["system"] not in oracles), lambda _: None)
    return table


def correct(rows: Iterable[Paired], family: Callable[[Paired], Hashable]) -> None:
    """Add Holm's corrected p-values to rows, over all rows with the same family, slice, metric and k."""
    families: dict[Hashable, list[Paired]] = {}
    for row in rows:
        families.setdefault((family(row), row["slice"], row["metric"], row["k"]), []).append(row)
    for tested in families.values():
        p, p_t = _holm([row["p"] for row in tested]), _holm([row["p_t"] for row in tested])
        for row, corrected, corrected_t in zip(tested, p, p_t, strict=True):
            row["p_holm"], row["p_t_holm"] = corrected, corrected_t


def _holm(values: Sequence[float | None]) -> list[float | None]:
    corrected = holm(np.array([np.nan if value is None else value for value in values]))
    return [_number(float(p)) for p in corrected]


def _slices_measured(scores: Scores, groups: np.ndarray, *, bootstrap: int, seed: int) -> Iterator[Measured]:
    for name, keys, held, matrix in _slices(scores):
        intervals = mean_intervals(matrix, groups[held], seed=seed, samples=bootstrap, ranges=_ranges(keys))
        yield from ((name, key, interval) for key, interval in zip(keys, intervals, strict=True))
        if name == "all" and are_versions(groups):
            intervals = mean_intervals(
                matrix, groups[held], seed=seed, samples=bootstrap, macro=True, ranges=_ranges(keys)
            )
            yield from (("macro", key, interval) for key, interval in zip(keys, intervals, strict=True))


def _labels_measured(
    scores: Scores, labels: Mapping[str, np.ndarray], groups: np.ndarray, *, bootstrap: int, seed: int
) -> Iterator[Measured]:
    """Yield the means over the playlists of each label. Kinds with a single label are omitted, as they equal `all`."""
    _, keys, held, matrix = next(_slices(scores))
    for kind, label in labels.items():
        names = sorted(set(label[held].tolist()), key=_numbered)
        for name in names if len(names) > 1 else ():
            chosen = label[held] == name
            intervals = mean_intervals(
                matrix[chosen], groups[held][chosen], seed=seed, samples=bootstrap, ranges=_ranges(keys)
            )
            yield from ((f"{kind}:{name}", key, interval) for key, interval in zip(keys, intervals, strict=True))


def _numbered(name: str) -> tuple[int, str]:
    """Return the sort key of a label, which is the first number in it."""
    digits = re.search(r"\d+", name)
    return int(digits[0]) if digits else 0, name


def _slices(scores: Scores) -> Iterator[tuple[str, list[Key], np.ndarray, np.ndarray]]:
    """Yield the non-empty slices: name, keys, which playlists have a value (bool [n]), and values [n', m]."""
    for name, n_hidden in scores.n_hidden.items():
        held = n_hidden > 0
        if held.any():
            keys = [key for key in scores.values if key[0] == name]
            yield name, keys, held, np.stack([scores.values[key][held] for key in keys], axis=1)


def _differences(
    scores: Scores, other: Scores, groups: np.ndarray, *, bootstrap: int, seed: int
) -> Iterator[tuple[Key, Difference]]:
    for (name, keys, held, mine), (_, _, _, theirs) in zip(_slices(scores), _slices(other), strict=True):
        if name in COMPARED:
            differences = paired_differences(
                mine, theirs, groups[held], seed=seed, samples=bootstrap, ranges=_ranges(keys)
            )
            yield from zip(keys, differences, strict=True)


def _ranges(keys: Sequence[Key]) -> list[Range]:
    return [value_range(metric) for _, metric, _ in keys]


def _frame_part(
    key: Key,
    values: np.ndarray,
    corpus_rows: np.ndarray,
    ids: pa.Array,
    groups: pa.Array,
    labels: Mapping[str, pa.Array],
) -> pa.Table:
    held = ~np.isnan(values)
    mask = pa.array(held)
    n = int(held.sum())
    return pa.table(
        {
            "row": pa.array(corpus_rows[held], pa.int64()),
            "playlist": ids.filter(mask),
            "group": groups.filter(mask),
            "slice": pa.repeat(key[0], n),
            "metric": pa.repeat(key[1], n),
            "k": pa.array(np.full(n, key[2]), pa.int32()),
            "value": pa.array(values[held], pa.float64()),
            **{kind: label.filter(mask) for kind, label in labels.items()},
        }
    )


def _number(value: float) -> float | None:
    """Return a number rounded for files, or None for NaN, which JSON does not support."""
    return None if np.isnan(value) else round(value, DIGITS) + 0.0

"""Comparison of two finished runs, by their settings and by paired tests of their results."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toolkit import run_directory
from toolkit.contracts.metric import value_range
from toolkit.errors import InputError, RunDirectoryError
from toolkit.evaluation.significance import Difference, holm, paired_difference
from toolkit.plugins import suggest
from toolkit.recipe import resolved_recipes
from toolkit.report.comparable_runs import other_data, other_questions
from toolkit.result_types import PairedRow, SystemOrder

Change = tuple[str, object, object]
"""Dotted key, value in A, value in B; None for a side without the key."""


@dataclass(frozen=True)
class Pair:
    """System in run A and system in run B on the same playlists.

    - difference: B minus A, with a two-sided p for this pair alone.
    - p_holm, p_t_holm: p-values corrected for all tested pairs. NaN for an oracle, and for identical values on all
      playlists.
    - identical: whether both have the same value on every playlist.
    """

    system_a: str
    system_b: str
    value_a: float
    value_b: float
    difference: Difference
    p_holm: float = np.nan
    p_t_holm: float = np.nan
    identical: bool = False

    def row(self, key: str) -> PairedRow:
        """Return the difference as a row of a table, by the compared metric. Only tested pairs have corrected p."""
        metric, _, k = key.partition("@")
        found = self.difference
        values = (found.value, found.low, found.high, found.p, found.p_t, found.p_floor, found.detectable)
        value, low, high, p, p_t, floor, least = (None if np.isnan(each) else each for each in values)
        row: PairedRow = {
            "system": self.system_b,
            "metric": metric,
            "k": int(k) if k else None,
            "difference": value,
            "ci_low": low,
            "ci_high": high,
            "p": p,
            "p_t": p_t,
            "p_floor": floor,
            "test": found.test,
            "detectable": least,
            "n": found.n,
        }
        if not np.isnan(self.p_holm):
            row["p_holm"], row["p_t_holm"] = self.p_holm, self.p_t_holm
        return row


@dataclass(frozen=True)
class Comparison:
    """Differences between two runs, and between their results.

    - recipe, surroundings: changes in the resolved recipe, and in versions, machine, code and data.
    - key: the compared metric, such as `ndcg@50`.
    - pairs: systems with the same name, then the best systems on validation if their names differ.
    - tested: number of pairs in the correction for p_holm.
    - not_compared: reason for missing pairs; empty if all pairs are compared.
    """

    recipe: list[Change]
    surroundings: list[Change]
    key: str
    pairs: list[Pair]
    not_compared: str

    @property
    def tested(self) -> int:
        return sum(not np.isnan(pair.p_holm) for pair in self.pairs)


def compare(a: Path, b: Path, *, key: str | None = None, bootstrap: int = 1000, seed: int = 0) -> Comparison:
    """Compare two finished runs by `key`, such as `recall@50`.

    The default `key` is the validation metric that selected the systems of run A. Differences are paired by playlist
    and resampled over playlists, with all versions of a playlist together.

    Raises `RunDirectoryError` for a folder that is not a finished run, `InputError` for a metric that is missing in a
    run.
    """
    first, second = run_directory.RunDirectory(a), run_directory.RunDirectory(b)
    recipes = run_directory.read_recipe(a), run_directory.read_recipe(b)
    if recipes[0] != recipes[1]:
        recipes = resolved_recipes.current_form(recipes[0]), resolved_recipes.current_form(recipes[1])
    manifests = first.read(run_directory.MANIFEST), second.read(run_directory.MANIFEST)
    orders = first.read(run_directory.SYSTEMS), second.read(run_directory.SYSTEMS)
    chosen = key or "{metric}@{k}".format_map(orders[0]["chosen_by"])
    pairs: list[Pair] = []
    if questions := other_questions(*recipes):
        why = f"the runs have different evaluation settings ({'; '.join(questions)}): run both with the same"
    elif data := other_data(first.read(run_directory.DATA), second.read(run_directory.DATA)):
        why = f"the runs use different data ({'; '.join(data)}): run both on the same"
    else:
        pairs, why = _pairs(
            [_values(each, chosen) for each in (first, second)], orders, chosen, bootstrap=bootstrap, seed=seed
        )
    return Comparison(list(changes(*recipes)), list(changes(*manifests)), chosen, pairs, why)


def changes(a: object, b: object, where: str = "") -> Iterator[Change]:
    """Yield the differences between two JSON values, key by key. List entries are matched by `name`."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys([*a, *b]):
            yield from changes(a.get(key), b.get(key), f"{where}.{key}".lstrip("."))
    elif isinstance(a, list) and isinstance(b, list) and all(isinstance(each, Mapping) for each in [*a, *b]):
        # models and systems by name: another entry at the front does not change all of them
        names = [[str(each.get("name") or place) for place, each in enumerate(side)] for side in (a, b)]
        before, after = (dict(zip(name, side, strict=True)) for name, side in zip(names, (a, b), strict=True))
        yield from changes(before, after, where)
    elif a != b:
        yield where, a, b


def _values(run: run_directory.RunDirectory, key: str) -> dict[str, pa.Table]:
    """Return playlist, group and value for each system on the test playlists."""
    metric, _, k = key.partition("@")
    if not run.path(run_directory.PER_PLAYLIST).exists():
        raise RunDirectoryError(
            f"{run.root} has no {run_directory.PER_PLAYLIST}, so the run is not finished: `segue run` the recipe again"
        )
    table = run.read_table(run_directory.PER_PLAYLIST)
    table = table.filter((pc.field("split") == "test") & (pc.field("slice") == "all"))
    of_metric = table.filter((pc.field("metric") == metric) & (pc.field("k") == (int(k) if k.isdecimal() else 0)))
    if not len(of_metric):
        pairs = zip(table["metric"].to_pylist(), table["k"].to_pylist(), strict=True)
        known = sorted({f"{name}@{at}" if at else name for name, at in pairs})
        raise InputError(f"{key!r} was not measured in {run.root}: {suggest(key, known)}")
    values = pa.table(
        {
            "playlist": of_metric["playlist"].cast(pa.string()),
            "group": of_metric["group"].cast(pa.string()),
            "value": of_metric["value"],
        }
    )
    names = of_metric["system"]
    return {name: values.filter(pc.equal(names, name)) for name in names.unique().to_pylist()}


def _pairs(
    tables: Sequence[dict[str, pa.Table]], orders: Sequence[SystemOrder], key: str, *, bootstrap: int, seed: int
) -> tuple[list[Pair], str]:
    a, b = tables
    names = [(name, name) for name in a if name in b]
    best = [_best(order, table) for order, table in zip(orders, tables, strict=True)]
    if best[0] and best[1] and best[0] != best[1]:
        names.append((best[0], best[1]))
    pairs: list[Pair] = []
    left_out = 0
    for mine, theirs in names:
        shared = (
            a[mine]
            .join(b[theirs].select(["playlist", "value"]), "playlist", join_type="inner", right_suffix="_b")
            .sort_by("playlist")
        )
        left_out = max(left_out, len(a[mine]) - len(shared), len(b[theirs]) - len(shared))
        if not len(shared):
            continue
        before, after = (shared[name].to_numpy().astype(np.float64) for name in ("value", "value_b"))
        groups = np.unique(np.asarray(shared["group"].to_pylist(), dtype=str), return_inverse=True)[1]
        difference = paired_difference(
            after, before, groups, seed=seed, samples=bootstrap, value_range=value_range(key.partition("@")[0])
        )
        means, same = (float(before.mean()), float(after.mean())), bool((before == after).all())
        pairs.append(Pair(mine, theirs, *means, difference, identical=same))
    oracles = {entry["system"] for order in orders for entry in order["systems"] if entry["oracle"]}
    if not names:
        return [], (
            "the runs have no system in common, and one of them has oracles alone: give both a system of the same name"
        )
    if not pairs:
        return [], "the runs have no test playlist in common: run both on the same data"
    note = f"{left_out:,} test playlists are in one run alone and are left out" if left_out else ""
    return _corrected(pairs, oracles), note


def _best(order: SystemOrder, measured: Collection[str]) -> str:
    """Return the best system on validation that was measured on test, or an empty text if all systems are oracles."""
    names = (entry["system"] for entry in order["systems"] if not entry["oracle"])
    return next((name for name in names if name in measured), "")


def _corrected(pairs: Sequence[Pair], oracles: Collection[str]) -> list[Pair]:
    """Return the pairs with p corrected by Holm's method.

    A pair with identical rankings is not tested, and is not counted in the correction for the other pairs.
    """
    tested = np.array([pair.system_a not in oracles and not pair.identical for pair in pairs], bool)
    p, p_t = (
        holm(np.where(tested, [getattr(pair.difference, name) for pair in pairs], np.nan)) for name in ("p", "p_t")
    )
    return [replace(pair, p_holm=float(p[at]), p_t_holm=float(p_t[at])) for at, pair in enumerate(pairs)]

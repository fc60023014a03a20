"""Two finished runs side by side: what was changed between them, and whether it matters."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from toolkit import run_directory
from toolkit.errors import InputError, RunDirectoryError
from toolkit.evaluation.significance import holm
from toolkit.evaluation.statistics import Difference, paired_difference
from toolkit.plugins import suggest
from toolkit.report.comparable_runs import other_data, other_questions
from toolkit.run_directory import RunDirectory

Change = tuple[str, Any, Any]
"""Dotted key, value in A, value in B; None where a side has no such key."""


@dataclass(frozen=True)
class Pair:
    """One system of A and one of B on the same playlists; difference: B less A, its p two-sided and of this pair alone.

    p_holm: corrected for all pairs that were tested; NaN for an oracle, and where no playlist's value differs: nothing was tested there.
    """

    system_a: str
    system_b: str
    value_a: float
    value_b: float
    difference: Difference
    p_holm: float = np.nan


@dataclass(frozen=True)
class Comparison:
    """What two runs differ in and what came of it.

    recipe, surroundings: changes of the resolved recipe, and of versions, machine, code and data. key: the metric compared, `ndcg@50`.
    pairs: systems of the same name, then the best of A against the best of B by validation where those have other names.
    tested: how many of them p_holm is corrected for. not_compared: why there are no pairs, or what they leave out; empty where all is well.
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
    """Compare two finished runs by `key`, such as `recall@50`; default: what A's systems were chosen by on validation.

    Differences are paired by playlist and resampled over playlists, all versions of one together.
    Raises `RunDirectoryError` for a folder that is no finished run, `InputError` for a metric that one of them has not.
    """
    first, second = RunDirectory(a), RunDirectory(b)
    recipes = run_directory.read_recipe(a), run_directory.read_recipe(b)
    if recipes[0] != recipes[1]:
        recipes = run_directory.current_form(recipes[0]), run_directory.current_form(recipes[1])
    manifests = first.read(run_directory.MANIFEST), second.read(run_directory.MANIFEST)
    orders = first.read(run_directory.SYSTEMS), second.read(run_directory.SYSTEMS)
    chosen = key or "{metric}@{k}".format(**orders[0]["chosen_by"])
    pairs: list[Pair] = []
    if asked := other_questions(*recipes):
        why = f"the runs asked different questions ({'; '.join(asked)}): run both with the same"
    elif read := other_data(first.read(run_directory.DATA), second.read(run_directory.DATA)):
        why = f"the runs are of different data ({'; '.join(read)}): run both on the same"
    else:
        pairs, why = _pairs([_values(each, chosen) for each in (first, second)], orders, bootstrap=bootstrap, seed=seed)
    return Comparison(list(changes(*recipes)), list(changes(*manifests)), chosen, pairs, why)


def changes(a: Any, b: Any, where: str = "") -> Iterator[Change]:
    """Where two JSON values differ, key by key; entries of lists are told apart by their `name`."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys([*a, *b]):
            yield from changes(a.get(key), b.get(key), f"{where}.{key}".lstrip("."))
    elif isinstance(a, list) and isinstance(b, list) and all(isinstance(each, Mapping) for each in [*a, *b]):
        # a list of models or systems: by name where they have one, so that one more in front is not a change of all
        names = [[str(each.get("name") or place) for place, each in enumerate(side)] for side in (a, b)]
        before, after = (dict(zip(name, side, strict=True)) for name, side in zip(names, (a, b), strict=True))
        yield from changes(before, after, where)
    elif a != b:
        yield where, a, b


def _values(run: RunDirectory, key: str) -> dict[str, pa.Table]:
    """Of each system: playlist, group and value on the test playlists."""
    metric, _, k = key.partition("@")
    path = run.path(run_directory.PER_PLAYLIST)
    if not path.exists():
        raise RunDirectoryError(
            f"{run.root} has no {run_directory.PER_PLAYLIST}, so it is not a finished run: segue run its recipe again"
        )
    try:
        table = parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise RunDirectoryError(f"{path} cannot be read ({error}): delete it and segue run its recipe again") from None
    table = table.filter((pc.field("split") == "test") & (pc.field("slice") == "all"))
    mine = table.filter((pc.field("metric") == metric) & (pc.field("k") == (int(k) if k.isdecimal() else 0)))
    if not len(mine):
        pairs = zip(table["metric"].to_pylist(), table["k"].to_pylist(), strict=True)
        known = sorted({f"{name}@{at}" if at else name for name, at in pairs})
        raise InputError(f"{key!r} was not measured in {run.root}: {suggest(key, known)}")
    values = pa.table(
        {
            "playlist": mine["playlist"].cast(pa.string()),
            "group": mine["group"].cast(pa.string()),
            "value": mine["value"],
        }
    )
    return {name: values.filter(pc.equal(mine["system"], name)) for name in mine["system"].unique().to_pylist()}


def _pairs(
    tables: list[dict[str, pa.Table]], orders: tuple[Any, Any], *, bootstrap: int, seed: int
) -> tuple[list[Pair], str]:
    a, b = tables
    best = [next((entry["system"] for entry in order["systems"] if not entry["oracle"] and entry["system"] in side), None)
            for order, side in zip(orders, tables, strict=True)]  # fmt: skip
    named = [(name, name) for name in a if name in b]
    if best[0] and best[1] and best[0] != best[1]:
        named.append((best[0], best[1]))
    pairs: list[Pair] = []
    left_out = 0
    for mine, theirs in named:
        joined = (
            a[mine]
            .join(b[theirs].select(["playlist", "value"]), "playlist", join_type="inner", right_suffix="_b")
            .sort_by("playlist")
        )
        left_out = max(left_out, len(a[mine]) - len(joined), len(b[theirs]) - len(joined))
        if not len(joined):
            continue
        before, after = (joined[name].to_numpy().astype(np.float64) for name in ("value", "value_b"))
        groups = np.unique(np.asarray(joined["group"].to_pylist(), dtype=str), return_inverse=True)[1]
        found = paired_difference(after, before, groups, seed=seed, samples=bootstrap)
        pairs.append(Pair(mine, theirs, float(before.mean()), float(after.mean()), found))
    oracles = {entry["system"] for order in orders for entry in order["systems"] if entry["oracle"]}
    if not named:
        return (
            [],
            "the runs have no system in common, and one of them has oracles alone: give both a system of the same name",
        )
    if not pairs:
        return [], "the runs have no test playlist in common: run both on the same data"
    return _corrected(
        pairs, oracles
    ), f"{left_out:,} test playlists are in one run alone and are left out" if left_out else ""


def _corrected(pairs: Sequence[Pair], oracles: Collection[str]) -> list[Pair]:
    """Pairs with Holm's p. A system that ranks every playlist as it did can never be told apart, so it costs the others nothing."""
    told = [
        np.nan if pair.system_a in oracles or (pair.difference.low == pair.difference.high == 0) else pair.difference.p
        for pair in pairs
    ]
    return [replace(pair, p_holm=float(p)) for pair, p in zip(pairs, holm(np.array(told)), strict=True)]

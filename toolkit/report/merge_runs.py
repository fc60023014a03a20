"""Merges several runs into one, so that their systems share tables and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from toolkit.errors import RunDirectoryError
from toolkit.report.comparable_runs import LEARNED, SIZES, other_data, other_files, other_questions
from toolkit.report.run_files import RunFiles
from toolkit.result_types import TableRow


def merge(runs: Sequence[RunFiles]) -> RunFiles:
    """Several runs as one: every system is called `system · run`, and its heading is the run's name.

    Recipes are concatenated; data and machine are those of the first run. Left out is what is not shared by the runs:
    differences (`segue compare` pairs them), attribution, tags, maps, examples, pictures. A single run is unchanged.

    Raises `RunDirectoryError` if two runs have one name, or asked other questions or of other data than the first.
    """
    first, *others = runs
    if not others:
        return first
    _check_names(runs)
    for other in others:
        _check(first, other)
    name = " and ".join(run.name for run in runs)
    return replace(
        first,
        name=name,
        names=tuple(run.name for run in runs),
        folds=tuple(fold for run in runs for fold in run.folds or (run.name,)),
        recipe_text="\n".join(f"# {run.name}\n{run.recipe_text}" for run in runs),
        recipe={**first.recipe, "name": name},
        metrics=[{**row, "system": _system(row["system"], run)} for run in runs for row in run.metrics],
        timings={_system(system, run): cost for run in runs for system, cost in run.timings.items()},
        curves={_system(system, run): points for run in runs for system, points in run.curves.items()},
        coverage=[{**row, "modality": _system(row["modality"], run)} for run in runs for row in run.coverage],
        table=[
            {"system": _system(row["system"], run), "group": run.name, "not_run": row["not_run"]}
            for run in runs
            for row in _layout(run)
        ],
        comparisons=[],
        attribution={},
        tags=[],
        factor_map={},
        map={},
        examples=[],
        pictures={},
        sizes={_system(system, run): size for run in runs for system, size in run.sizes.items()},
    )


def across(runs: Sequence[RunFiles]) -> dict[str, RunFiles]:
    """Runs by name that asked the same, of any data.

    Raises `RunDirectoryError` if two have one name or asked otherwise.
    """
    _check_names(runs)
    for other in runs[1:]:
        if differences := other_questions(runs[0].recipe, other.recipe, ways=True):
            raise RunDirectoryError(
                f"{runs[0].name} and {other.name} asked different questions ({'; '.join(differences)}): run both alike"
            )
    return {run.name: run for run in runs}


def _check_names(runs: Sequence[RunFiles]) -> None:
    twice = [name for name, count in Counter(run.name for run in runs).items() if count > 1]
    if twice:
        raise RunDirectoryError(
            f"two runs are called {twice[0]!r}: rename one of the folders, so that their systems can be told apart"
        )


def _check(first: RunFiles, other: RunFiles) -> None:
    """Raise `RunDirectoryError` if the numbers of two runs do not mean the same."""
    questions = other_questions(first.recipe, other.recipe, ways=True)
    data = other_data(first.data, other.data, (*SIZES, *LEARNED))
    # another split has other sizes too: only the cause is reported
    if differences := questions or data or other_files(first.manifest, other.manifest):
        what = "asked different questions" if questions else "are of different data"
        cure = "segue report each alone, or run both alike" + (
            "" if questions else "; a column of each is --across --format markdown"
        )
        raise RunDirectoryError(
            f"{first.name} and {other.name} {what} ({'; '.join(differences)}), so they share no table: {cure}"
        )


def _layout(run: RunFiles) -> list[TableRow]:
    """`table.json`, or its equivalent for a run of a version that did not write one."""
    systems = dict.fromkeys(row["system"] for row in run.metrics)
    return run.table or [{"system": system, "group": "", "not_run": []} for system in systems]


def _system(name: str, run: RunFiles) -> str:
    return f"{name} · {run.name}"

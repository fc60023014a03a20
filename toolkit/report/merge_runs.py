"""Merging of several runs, with their systems in shared tables and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from toolkit.errors import RunDirectoryError
from toolkit.report.comparable_runs import LEARNED, SIZES, other_data, other_files, other_questions
from toolkit.report.run_files import RunFiles
from toolkit.result_types import TableRow


def merge(runs: Sequence[RunFiles]) -> RunFiles:
    """Return several runs as one, with systems called `system · run` under the heading of their run.

    Recipes are concatenated. Data and machine are those of the first run. Differences (see `segue compare`),
    attribution, tags, maps, examples and pictures are omitted, because they belong to single runs. A single run is
    unchanged.

    Raises `RunDirectoryError` if two runs have the same name, or if evaluation settings or data differ from the first
    run.
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
        encoders=[{**row, "modality": _system(row["modality"], run)} for run in runs for row in run.encoders],
        coverage=[{**row, "modality": _system(row["modality"], run)} for run in runs for row in run.coverage],
        table=[
            {**row, "system": _system(row["system"], run), "group": run.name} for run in runs for row in _layout(run)
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
    """Return runs with the same evaluation settings by name. Their data may differ.

    Raises `RunDirectoryError` if two runs have the same name or different evaluation settings.
    """
    _check_names(runs)
    for other in runs[1:]:
        if differences := other_questions(runs[0].recipe, other.recipe, ways=True):
            raise RunDirectoryError(
                f"{runs[0].name} and {other.name} have different evaluation settings ({'; '.join(differences)}):"
                " run both recipes with the same settings"
            )
    return {run.name: run for run in runs}


def _check_names(runs: Sequence[RunFiles]) -> None:
    twice = [name for name, count in Counter(run.name for run in runs).items() if count > 1]
    if twice:
        raise RunDirectoryError(
            f"two runs have the same name {twice[0]!r}: rename one of the folders to distinguish the systems"
        )


def _check(first: RunFiles, other: RunFiles) -> None:
    """Raise `RunDirectoryError` if the numbers of two runs are not comparable."""
    questions = other_questions(first.recipe, other.recipe, ways=True)
    data = other_data(first.data, other.data, (*SIZES, *LEARNED))
    # another split has other sizes too: only the cause is reported
    if differences := questions or data or other_files(first.manifest, other.manifest):
        what = "have different evaluation settings" if questions else "use different data"
        cure = "call `segue report` for each run alone, or run both recipes with the same settings" + (
            "" if questions else ", or pass --across --format markdown for separate columns"
        )
        raise RunDirectoryError(
            f"{first.name} and {other.name} {what} ({'; '.join(differences)}), so their results cannot be"
            f" in one table: {cure}"
        )


def _layout(run: RunFiles) -> list[TableRow]:
    """Return `table.json`, or an equivalent for runs from versions without this file."""
    systems = dict.fromkeys(row["system"] for row in run.metrics)
    return run.table or [{"system": system, "group": "", "not_run": []} for system in systems]


def _system(name: str, run: RunFiles) -> str:
    return f"{name} · {run.name}"

"""Several runs as one, so that their systems stand in the same tables and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from toolkit.errors import RunDirectoryError
from toolkit.report.comparable_runs import LEARNED, SIZES, other_data, other_files, other_questions
from toolkit.report.run_files import RunFiles

Rows = Iterable[dict[str, Any]]


def joined(found: Sequence[RunFiles]) -> RunFiles:
    """One run's files as they are; of several, every system is called `system · run` and stands under its run's name.

    What was run, data and machine are the first run's; recipes stand one after the other. What says nothing across runs is left out:
    differences (`segue compare` pairs them), attribution, tags, maps, examples, pictures.
    Raises `RunDirectoryError` where two runs have one name, or asked other questions or of other data than the first.
    """
    if len(found) == 1:
        return found[0]
    _check_names(found)
    for other in found[1:]:
        _check(found[0], other)
    return replace(
        found[0],
        name=" and ".join(run.name for run in found),
        names=tuple(run.name for run in found),
        folds=tuple(name for run in found for name in run.folds or (run.name,)),
        recipe_text="\n".join(f"# {run.name}\n{run.recipe_text}" for run in found),
        recipe={**found[0].recipe, "name": " and ".join(run.name for run in found)},
        metrics=[_renamed(row, run) for run in found for row in run.metrics],
        timings={_system(system, run): cost for run in found for system, cost in run.timings.items()},
        curves={_system(system, run): points for run in found for system, points in run.curves.items()},
        coverage=[{**row, "modality": _system(row["modality"], run)} for run in found for row in run.coverage],
        table=[{**_renamed(row, run), "group": run.name} for run in found for row in _layout(run)],
        comparisons=[],
        attribution={},
        tags=[],
        looking={},
        map={},
        examples=[],
        pictures={},
        sizes={_system(system, run): size for run in found for system, size in run.sizes.items()},
    )


def across(found: Sequence[RunFiles]) -> dict[str, RunFiles]:
    """Runs by name that asked the same, of whatever data. Raises `RunDirectoryError` where two have one name or asked otherwise."""
    _check_names(found)
    for other in found[1:]:
        if told := other_questions(found[0].recipe, other.recipe, ways=True):
            raise RunDirectoryError(
                f"{found[0].name} and {other.name} asked different questions ({'; '.join(told)}): run both alike"
            )
    return {run.name: run for run in found}


def _check_names(found: Sequence[RunFiles]) -> None:
    twice = [name for name, count in Counter(run.name for run in found).items() if count > 1]
    if twice:
        raise RunDirectoryError(
            f"two runs are called {twice[0]!r}: rename one of the folders, so that their systems can be told apart"
        )


def _check(first: RunFiles, other: RunFiles) -> None:
    """Whether numbers of both mean the same. Raises `RunDirectoryError`."""
    asked, read = (
        other_questions(first.recipe, other.recipe, ways=True),
        other_data(first.data, other.data, (*SIZES, *LEARNED)),
    )
    # another split has other sizes too: only the root is told
    if told := asked or read or other_files(first.manifest, other.manifest):
        what = "asked different questions" if asked else "are of different data"
        cure = "segue report each alone, or run both alike" + (
            "" if asked else "; a column of each is --across --format markdown"
        )
        raise RunDirectoryError(
            f"{first.name} and {other.name} {what} ({'; '.join(told)}), so they share no table: {cure}"
        )


def _layout(run: RunFiles) -> Rows:
    """`table.json`, or what it would say of a run that was made before there was one."""
    systems = dict.fromkeys(row["system"] for row in run.metrics)
    return run.table or [{"system": system, "group": "", "not_run": []} for system in systems]


def _renamed(row: dict[str, Any], run: RunFiles) -> dict[str, Any]:
    return {**row, "system": _system(row["system"], run)}


def _system(name: str, run: RunFiles) -> str:
    return f"{name} · {run.name}"

"""The words at the top of a report, worked out of its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.report.page_sections import reading
from toolkit.report.result_tables import Cell, Column, Row, Table, pivot
from toolkit.report.run_files import RunFiles

NAMED = 5
"""Underfit systems that are named; of more there is only the number."""


def summary(run: RunFiles, table: Table, column: Column | None) -> str:
    """A few sentences: what was run on what, who won on validation, its test numbers, whether its lead is chance, what is underfit."""
    systems = sum(not row.oracle and not row.not_run for row in table.rows)
    subject = f"{systems} system{'s' if systems != 1 else ''} continued {_playlists(table.n)}{_sizes(run.data)}{_folds(run.data)}."
    if column is None:
        return f"{subject} No test numbers were written."
    valid = pivot(run.metrics, split="valid", timings=run.timings)
    choice = next((row for row, _ in _contest(valid, column)), None)
    if choice is None:
        row, cell = next(iter(_contest(table, column)), (None, None))
        return f"{subject} There are no validation numbers to choose by" + (
            f"; the highest test {column.label} is {_with_interval(cell)}, by {row.system}." if row and cell else "."
        )
    tested = next((cell for row, cell in table.ranked(column) if row.system == choice.system), None)
    found = f"reaches {column.label} {_with_interval(tested)} on the test playlists" if tested else "was not tested"
    chosen = "Best on validation, whose playlists other folds test" if "folds" in run.data else "Chosen on validation"
    told = [f"{subject} {chosen}, {choice.system} {found}.", _against(run, table, column, choice.system)]
    told.append(_underfit([row.system for row in table.rows if row.underfit]))
    return " ".join(filter(None, told))


def _folds(data: dict[str, Any]) -> str:
    return f", each tested once, in {data['folds']} folds with a training of their own" if "folds" in data else ""


def _against(run: RunFiles, table: Table, column: Column, choice: str) -> str:
    """Whether the chosen system's lead is more than chance, by the run's paired differences."""
    oracles = {row.system for row in table.rows if row.oracle}
    rows = [
        row
        for row in run.comparisons
        if Column.of(row) == column and (row.get("slice") or "all") == "all" and row["system"] not in oracles
    ]
    if all(row["reference"] != choice for row in rows):
        row = next((row for row in rows if row["system"] == choice), None)
        if row is None or row.get("ci_low") is None:
            return ""
        shown = reading(row, row["reference"])
        by = f" ({column.format(row['difference'], sign=True)})"
        return f"It is {shown}{by}." if "than" in shown else f"Against {row['reference']}{by}, {shown}."
    # the intervals are of others less it
    readings = [(row["system"], reading(row, choice)) for row in rows]
    behind = [system for system, reading in readings if reading.startswith("worse")]
    level = [system for system, reading in readings if reading.startswith("no")]
    ahead = [system for system, reading in readings if reading.startswith("better")]
    parts = [
        f"all {len(behind)} others are behind it"
        if len(behind) == len(readings) > 1
        else f"{_list(behind)} behind it"
        if behind
        else "",
        f"{_list(level)} not shown to differ" if level else "",
        f"{_list(ahead)} ahead of it" if ahead else "",
    ]
    told = "; ".join(filter(None, parts))
    return f"By paired 95 % intervals {told}." if told else ""


def _underfit(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"Underfit, and perhaps better after more epochs: {', '.join(names[:NAMED])}{more}."


def _list(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _contest(table: Table, column: Column) -> list[tuple[Row, Cell]]:
    """Systems best first, without oracles."""
    return [pair for pair in table.ranked(column) if not pair[0].oracle] if column in table.columns else []


def _playlists(n: int | None) -> str:
    return f"{n:,} held-out playlists" if n else "held-out playlists"


def _sizes(data: Mapping[str, Any]) -> str:
    found = [f"{data[name]:,} {name}" for name in ("tracks", "playlists") if isinstance(data.get(name), int)]
    return f" ({', '.join(found)} in all)" if found else ""


def _with_interval(cell: Cell) -> str:
    return f"{cell.text} (95 % interval {cell.interval})" if cell.interval else cell.text

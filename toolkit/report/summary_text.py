"""Summary at the top of a report, from its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.report.claims import cannot_show, cure
from toolkit.report.page_sections import reading, signed
from toolkit.report.result_tables import Cell, Column, Row, Table, pivot
from toolkit.report.run_files import RunFiles
from toolkit.result_types import DataFacts

NAMED = 5
"""Marked systems that are named; the others are only counted."""


def summary(run: RunFiles, table: Table, column: Column | None) -> str:
    """Return sentences on systems and data, the best system on validation, its test numbers, and its lead."""
    systems = sum(not row.oracle and not row.not_run for row in table.rows)
    plural, about = "s" if systems != 1 else "", f"{_sizes(run.data)}{_folds(run.data)}"
    subject = f"{systems} system{plural} continued {_playlists(table.n)}{about}."
    if column is None:
        return f"{subject} No test numbers were written."
    choice = next((row for row, _ in _contest(pivot(run.metrics, split="valid", timings=run.timings), column)), None)
    if choice is None:
        row, cell = next(iter(_contest(table, column)), (None, None))
        return f"{subject} There are no validation numbers to choose by" + (
            f"; the highest test {column.label} is {_with_interval(cell)}, by {row.system}." if row and cell else "."
        )
    contest = _contest(table, column)
    tested = next((cell for row, cell in contest if row.system == choice.system), None)
    result = f"reaches {column.label} {_with_interval(tested)} on the test playlists" if tested else "was not tested"
    chosen = "Best on validation, whose playlists other folds test" if "folds" in run.data else "Chosen on validation"
    name = f"{choice.system} ({', '.join(choice.warnings)})" if choice.warnings else choice.system
    ahead = [(row, cell) for row, cell in contest if tested and _beats(column, cell.value, tested.value)]
    lead = _ahead(ahead) if ahead else _against(run, table, column, choice.system)
    return " ".join([f"{subject} {chosen}, {name} {result}.", *filter(None, [lead]), *_warned(table)])


def _beats(column: Column, value: float, other: float) -> bool:
    return value < other if column.lower_is_better else value > other


def _ahead(ahead: Sequence[tuple[Row, Cell]]) -> str:
    """Return a sentence on the systems with a better test value than the chosen one, best first."""
    (best, cell), *others = ahead
    more = f", and {len(others)} more {'is' if len(others) == 1 else 'are'} better than it" if others else ""
    return f"It is not the best system on the test: {best.system} reaches {_with_interval(cell)}{more}."


def _warned(table: Table) -> list[str]:
    """Return a sentence for each mark, with the systems that have it."""
    marked: dict[str, list[str]] = {}
    for row in table.rows:
        for word in row.warnings:
            marked.setdefault(word, []).append(row.system)
    if underfit := [row.system for row in table.rows if row.underfit]:
        marked["underfit, so more epochs may improve it"] = underfit
    return [f"{word[0].upper()}{word[1:]}: {_some(names)}." for word, names in marked.items()]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _folds(data: DataFacts) -> str:
    return f", each tested once, in {data['folds']} folds with a training of their own" if "folds" in data else ""


def _against(run: RunFiles, table: Table, column: Column, choice: str) -> str:
    """Return a sentence on the chosen system's lead and its significance, by the run's paired differences."""
    oracles = {row.system for row in table.rows if row.oracle}
    rows = [
        row
        for row in run.comparisons
        if Column.of(row) == column and (row.get("slice") or "all") == "all" and row["system"] not in oracles
    ]
    if rows and all(cannot_show(row) for row in rows):
        return f"These test playlists cannot show any difference between systems: {cure(rows[0])}."
    if all(row["reference"] != choice for row in rows):
        row = next((row for row in rows if row["system"] == choice), None)
        if row is None or row["ci_low"] is None:
            return ""
        stated = reading(row, row["reference"])
        by = f" ({signed(column, row['difference'])})"
        return f"It is {stated}{by}." if "than" in stated else f"Against {row['reference']}{by}, {stated}."
    # the intervals are of the others minus the choice
    readings = [(row["system"], reading(row, choice)) for row in rows]
    behind = [system for system, reading in readings if reading.startswith("worse")]
    level = [system for system, reading in readings if reading.startswith(("no", "cannot"))]
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
    text = "; ".join(filter(None, parts))
    return f"By paired tests {text}." if text else ""


def _list(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _contest(table: Table, column: Column) -> list[tuple[Row, Cell]]:
    """Return systems from best to worst, without oracles."""
    return [pair for pair in table.ranked(column) if not pair[0].oracle] if column in table.columns else []


def _playlists(n: int | None) -> str:
    return f"{n:,} held-out playlist{'s' if n != 1 else ''}" if n else "held-out playlists"


def _sizes(data: DataFacts) -> str:
    sizes = [f"{data['tracks']:,} tracks"] if "tracks" in data else []
    sizes += [f"{data['playlists']:,} playlists"] if "playlists" in data else []
    sparsity = data.get("sparsity")
    empty = "" if sparsity is None else f", sparsity {100 * sparsity:.3f} %"
    return f" ({', '.join(sizes)} in all{empty})" if sizes else ""


def _with_interval(cell: Cell) -> str:
    return f"{cell.text} (95 % interval {cell.interval})" if cell.interval else cell.text

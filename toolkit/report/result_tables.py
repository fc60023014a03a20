"""Tables of metrics, with a row for each system and a column for each metric and cutoff.

All functions are pure, from rows of `metrics.json` to Markdown, CSV, LaTeX or a `Table`. Terminal and page print the
same `Table`.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from toolkit import terminal
from toolkit.contracts.metric import MetricInfo, described
from toolkit.result_types import MetricRow, PairedRow, TableRow, Timing


@dataclass(frozen=True)
class Column:
    """Metric at a cutoff.

    - k: None for a metric without a cutoff.
    - run: name of the run, in a table with columns from several runs.
    - known: stored facts about a metric that is not installed.
    """

    metric: str
    k: int | None = None
    run: str = ""
    known: MetricInfo | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, row: MetricRow | PairedRow) -> Column:
        """Return the column for a row of `metrics.json` or of a comparison."""
        return cls(row["metric"], row["k"] or None, known=row.get("metric_info"))

    @property
    def key(self) -> str:
        """The key as in recipes, such as `ndcg@50`, after the name of the run."""
        key = self.metric if self.k is None else f"{self.metric}@{self.k}"
        return f"{self.run} {key}".lstrip()

    @property
    def info(self) -> MetricInfo:
        """The facts about the metric: stored facts if the metric is not installed, or the metric's own."""
        return self.known or described(self.metric)

    @property
    def label(self) -> str:
        name = self.info.label
        name = name if self.k is None else f"{name}@{self.k}"
        return f"{self.run}: {name}" if self.run else name

    @property
    def lower_is_better(self) -> bool:
        return self.info.higher_is_better is False

    def format(self, value: float, *, sign: bool = False, most: int = 4) -> str:
        """Return `value` with the metric's decimals, at most `most`, and a typographic minus."""
        decimals = min(most, self.info.decimals)
        return f"{value:{'+' if sign else ''}.{decimals}f}".replace("-", "−")


@dataclass(frozen=True)
class Cell:
    """Value with its 95 % interval. best: whether it is the best in its column. sd: standard deviation over seeds."""

    column: Column
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    best: bool = False
    sd: float | None = None

    @property
    def text(self) -> str:
        return self.column.format(self.value) + ("" if self.sd is None else f" ± {self.column.format(self.sd)}")

    @property
    def interval(self) -> str:
        """The interval as text, such as `0.1204–0.1311`, or an empty text."""
        if self.low is None or self.high is None:
            return ""
        return f"{self.column.format(self.low)}–{self.column.format(self.high)}"


@dataclass(frozen=True)
class Row:
    """System in a table.

    - cells: in column order, None if not measured.
    - not_run: why there are no values; failed: whether an error is the reason.
    - warnings: reasons by word, such as `below popularity`.
    """

    system: str
    modalities: str
    cells: tuple[Cell | None, ...]
    oracle: bool = False
    underfit: bool = False
    group: str = ""
    not_run: str = ""
    failed: bool = False
    warnings: Mapping[str, str] = field(default_factory=dict)

    @property
    def marks(self) -> str:
        """The words in brackets after the name."""
        words = [mark for mark, on in (("oracle", self.oracle), ("underfit", self.underfit)) if on]
        return ", ".join([*words, *self.warnings])

    @property
    def label(self) -> str:
        return f"{self.system} ({self.marks})" if self.marks else self.system


@dataclass(frozen=True)
class Table:
    """Systems in the order of the recipe or of the metric rows, with oracles last."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    split: str = "test"
    slice: str = "all"

    @property
    def n(self) -> int | None:
        """The number of playlists, if all cells have the same number."""
        counts = {cell.n for row in self.rows for cell in row.cells if cell is not None}
        return counts.pop() if len(counts) == 1 else None

    @property
    def groups(self) -> list[tuple[str, list[Row]]]:
        """The rows by heading, without oracles. The heading may be empty."""
        rows = [row for row in self.rows if not row.oracle]
        return [(group, list(members)) for group, members in itertools.groupby(rows, key=lambda row: row.group)]

    def ranked(self, column: Column) -> list[tuple[Row, Cell]]:
        """Return systems with a value in `column`, best first, with oracles last."""
        at = self.columns.index(column)
        measured = [(row, cell) for row in self.rows if (cell := row.cells[at]) is not None]
        sign = 1 if column.lower_is_better else -1
        return sorted(measured, key=lambda pair: (pair[0].oracle, math.isnan(pair[1].value), sign * pair[1].value))


def pivot(
    rows: Iterable[MetricRow],
    *,
    split: str = "test",
    slice: str = "all",
    timings: Mapping[str, Timing] | None = None,
    layout: Sequence[TableRow] = (),
) -> Table:
    """Return the table of one split and slice. The table is empty if no rows match.

    - timings: as in `timings.json`; `oracle`, `underfit` and `warnings` mark the rows.
    - layout: as in `table.json`: headings and, for the table of all tracks, systems that were not run or failed.
    """
    chosen = [row for row in rows if row["split"] == split and row["slice"] == slice and row["value"] is not None]
    columns = _columns(chosen)
    values: dict[str, dict[Column, MetricRow]] = {}
    for row in chosen:
        values.setdefault(row["system"], {})[Column.of(row)] = row
    flags = timings or {}
    oracles = {system for system in values if flags.get(system, {}).get("oracle")}
    best = {column: _best(column, values, oracles) for column in columns}
    headings = {row["system"]: row["group"] for row in layout}
    systems = [
        Row(
            system,
            modalities(next(iter(cells.values()))),
            tuple(_cell(column, cells.get(column), best[column], system in oracles) for column in columns),
            oracle=system in oracles,
            underfit=bool(flags.get(system, {}).get("underfit")),
            group=headings.get(system, ""),
            warnings=flags.get(system, {}).get("warnings") or {},
        )
        for system, cells in values.items()
    ]
    if systems and slice == "all":
        systems += [_not_run(row, len(columns)) for row in layout if row["not_run"] or "failed" in row]
    place = {system: at for at, system in enumerate(headings)}
    return Table(
        columns, tuple(sorted(systems, key=lambda row: (row.oracle, place.get(row.system, len(place))))), split, slice
    )


def side_by_side(tables: Mapping[str, Table]) -> Table:
    """Return the tables of runs on different data as one, with a row for each system and the columns of all runs.

    - tables: tables by name of the run.

    A system has the marks of all runs. Cells are empty for runs without the system.
    The heading is the first heading of the system.
    """
    columns = tuple(replace(column, run=run) for run, table in tables.items() for column in table.columns)
    systems = dict.fromkeys(row.system for table in tables.values() for row in table.rows)
    merged = []
    for system in systems:
        rows = {run: next((row for row in table.rows if row.system == system), None) for run, table in tables.items()}
        there = [row for row in rows.values() if row is not None]
        cells: list[Cell | None] = []
        for run, table in tables.items():
            row = rows[run]
            cells += [
                None if cell is None else replace(cell, column=replace(cell.column, run=run))
                for cell in (row.cells if row is not None else (None,) * len(table.columns))
            ]
        oracle, underfit = (any(getattr(row, mark) for row in there) for mark in ("oracle", "underfit"))
        measured = any(cell is not None for cell in cells)
        group, first = next((row.group for row in there if row.group), ""), there[0]
        warnings = {word: reason for row in there for word, reason in row.warnings.items()}
        joined = Row(system, first.modalities, tuple(cells), oracle, underfit, group, warnings=warnings)
        merged.append(joined if measured else replace(joined, not_run=first.not_run, failed=first.failed))
    headings = list(dict.fromkeys(row.group for row in merged))
    head = next(iter(tables.values()))
    return Table(
        columns, tuple(sorted(merged, key=lambda row: (row.oracle, headings.index(row.group)))), head.split, head.slice
    )


def _not_run(row: TableRow, columns: int) -> Row:
    if "failed" in row:
        why = f"failed: {row['failed']}"
        return Row(row["system"], "", (None,) * columns, group=row["group"], not_run=why, failed=True)
    keys = " ".join(f"--set {key}=…" for key in row["not_run"])
    return Row(row["system"], "", (None,) * columns, group=row["group"], not_run=f"not run: give its path ({keys})")


def _columns(rows: Sequence[MetricRow]) -> tuple[Column, ...]:
    """Return metrics in order of appearance, with ascending cutoffs."""
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    return tuple(
        sorted({Column.of(row) for row in rows}, key=lambda column: (metrics.index(column.metric), column.k or 0))
    )


def _best(column: Column, values: Mapping[str, Mapping[Column, MetricRow]], oracles: set[str]) -> float | None:
    competing = [
        value
        for system, cells in values.items()
        if column in cells and system not in oracles
        if (value := cells[column]["value"]) is not None and not math.isnan(value)
    ]
    if len(set(competing)) < 2 and len(competing) > 1:
        return None  # none is best if all are equal
    return (min if column.lower_is_better else max)(competing, default=None)


def _cell(column: Column, row: MetricRow | None, best: float | None, oracle: bool) -> Cell | None:
    if row is None or row["value"] is None:
        return None
    value = float(row["value"])
    return Cell(
        column,
        value,
        row["ci_low"],
        row["ci_high"],
        row["n"],
        best=not oracle and value == best,
        sd=row.get("sd"),
    )


def modalities(row: MetricRow) -> str:
    """Return the names of a system's modalities in the form for tables."""
    names = row["modalities"]
    return names if isinstance(names, str) else ", ".join(names)


def to_markdown(table: Table, *, intervals: bool = True) -> str:
    """Return a table in GitHub's Markdown: headings and best values bold, oracles last and in italics."""
    lines = [["System", *(column.label for column in table.columns)], [":--", *("--:" for _ in table.columns)]]
    blank = [""] * (len(table.columns) - 1)
    for group, rows in table.groups:
        if group:
            lines.append([f"**{_pipes(group)}**", "", *blank])
        lines += [[_pipes(row.label), *_cells_markdown(row, blank, intervals)] for row in rows]
    lines += [[f"*{_pipes(row.label)}*", *_cells_markdown(row, blank, intervals)] for row in table.rows if row.oracle]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _pipes(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\|*_`<[" else letter for letter in " ".join(text.split()))


def _cells_markdown(row: Row, blank: list[str], intervals: bool) -> list[str]:
    return [_pipes(row.not_run), *blank] if row.not_run else [_cell_markdown(cell, intervals) for cell in row.cells]


def _cell_markdown(cell: Cell | None, intervals: bool) -> str:
    if cell is None:
        return "–"
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} ({cell.interval})" if intervals and cell.interval else text


def to_csv(table: Table) -> str:
    """Return a table as CSV (RFC 4180) in full precision: seven columns on the system, and three for each metric.

    Texts are quoted by `terminal.cell`.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    names = [name for column in table.columns for name in (column.key, f"{column.key}_low", f"{column.key}_high")]
    about: list[object] = ["system", "modalities", "oracle", "underfit", "warnings", "group", "not_run"]
    writer.writerow([*about, *map(terminal.cell, names)])
    for row in table.rows:
        numbers = [
            number
            for cell in row.cells
            for number in ((cell.value, cell.low, cell.high) if cell else (None, None, None))
        ]
        warnings = "; ".join(f"{word}: {reason}" for word, reason in row.warnings.items())
        about = [row.system, row.modalities, int(row.oracle), int(row.underfit), warnings, row.group, row.not_run]
        writer.writerow([*map(terminal.cell, about), *numbers])
    return out.getvalue()


def to_latex(table: Table, *, intervals: bool = False) -> str:
    """Return a booktabs tabular: headings above their rows, best values bold, oracles below a rule."""
    head = " & ".join(["System", *(_latex(column.label) for column in table.columns)])
    lines = [f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}", "\\toprule", f"{head} \\\\", "\\midrule"]
    for group, rows in table.groups:
        if group:
            lines.append(f"\\multicolumn{{{1 + len(table.columns)}}}{{l}}{{\\textit{{{_latex(group)}}}}} \\\\")
        lines += [_row_latex(row, intervals) for row in rows]
    oracles = [_row_latex(row, intervals) for row in table.rows if row.oracle]
    lines += ["\\midrule", *oracles] if oracles and table.groups else oracles
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def _row_latex(row: Row, intervals: bool) -> str:
    cells = [_cell_latex(cell, intervals) for cell in row.cells]
    if row.not_run:
        cells = [f"\\multicolumn{{{len(cells)}}}{{l}}{{{_latex(row.not_run)}}}"]
    return " & ".join([_latex(row.label), *cells]) + " \\\\"


_LATEX = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "±": "$\\pm$",
    "−": "$-$",
    "–": "--",
    "…": "\\ldots{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _cell_latex(cell: Cell | None, intervals: bool) -> str:
    if cell is None:
        return "--"
    text = _latex(cell.text)
    text = f"\\textbf{{{text}}}" if cell.best else text
    return f"{text} {{\\scriptsize [{_latex(cell.interval)}]}}" if intervals and cell.interval else text

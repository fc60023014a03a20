"""Tests of result tables built from metric rows."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from tests.report.run_files import metric_row
from toolkit.report.result_tables import Cell, Column, Table, pivot, side_by_side, to_csv, to_latex, to_markdown

NDCG = Column("ndcg", 50)
ROWS = [
    metric_row("popularity", 0.0411, ci_low=0.0402, ci_high=0.0420),
    metric_row("upper-bound", 0.9, ci_low=None, ci_high=None),
    metric_row("sasrec & co", 0.1611, ci_low=0.15, ci_high=0.17, modalities=["audio", "lyrics"]),
    metric_row("popularity", 9.5, metric="clicks", k=None, ci_low=9.0, ci_high=10.0),
    metric_row("sasrec & co", 4.25, metric="clicks", k=None, ci_low=4.0, ci_high=4.5),
    metric_row("popularity", 0.01, k=20, ci_low=0.009, ci_high=0.011),
    metric_row("popularity", 0.5, split="valid"),
    metric_row("popularity", 0.6, slice="cold"),
]
TIMINGS: dict[str, dict[str, Any]] = {"upper-bound": {"oracle": True}, "sasrec & co": {"underfit": True}}


@pytest.fixture
def table() -> Table:
    return pivot(ROWS, timings=TIMINGS)


def cell(table: Table, system: str, column: Column) -> Cell | None:
    row = next(row for row in table.rows if row.system == system)
    return row.cells[table.columns.index(column)]


def value(table: Table, system: str, column: Column) -> float | None:
    found = cell(table, system, column)
    return found.value if found else None


def test_columns_keep_metric_order_and_sort_cutoffs(table: Table) -> None:
    assert [column.key for column in table.columns] == ["ndcg@20", "ndcg@50", "clicks"]
    assert [column.label for column in table.columns] == ["NDCG@20", "NDCG@50", "Clicks"]


def test_oracles_are_last_and_systems_keep_their_order(table: Table) -> None:
    assert [row.label for row in table.rows] == ["popularity", "sasrec & co (underfit)", "upper-bound (oracle)"]


def test_table_excludes_other_splits_and_slices(table: Table) -> None:
    assert value(table, "popularity", NDCG) == 0.0411
    assert value(pivot(ROWS, split="valid"), "popularity", NDCG) == 0.5
    assert value(pivot(ROWS, slice="cold"), "popularity", NDCG) == 0.6


def test_best_cell_ignores_oracles_and_depends_on_metric_direction(table: Table) -> None:
    best = {(row.system, found.column.key) for row in table.rows for found in row.cells if found and found.best}
    assert best == {("popularity", "ndcg@20"), ("sasrec & co", "ndcg@50"), ("sasrec & co", "clicks")}


def test_all_tied_cells_are_best() -> None:
    table = pivot([metric_row("a", 0.2), metric_row("b", 0.2), metric_row("c", 0.1)])
    assert [found.best for row in table.rows for found in row.cells if found] == [True, True, False]


def test_no_cell_is_best_if_all_are_equal() -> None:
    table = pivot([metric_row("a", 0.0), metric_row("b", 0.0)])
    assert [found.best for row in table.rows for found in row.cells if found] == [False, False]


def test_nan_is_never_best() -> None:
    table = pivot([metric_row("a", float("nan")), metric_row("b", 0.2), metric_row("c", 0.1)])
    assert [found.best for row in table.rows for found in row.cells if found] == [False, True, False]
    assert [row.system for row, _ in table.ranked(NDCG)] == ["b", "c", "a"]


def test_missing_cells_are_none(table: Table) -> None:
    assert cell(table, "sasrec & co", Column("ndcg", 20)) is None


def test_ranked_sorts_by_the_metric_direction(table: Table) -> None:
    assert [row.system for row, _ in table.ranked(NDCG)] == ["sasrec & co", "popularity", "upper-bound"]
    assert [row.system for row, _ in table.ranked(Column("clicks"))] == ["sasrec & co", "popularity"]


def test_table_n_is_none_if_cells_differ(table: Table) -> None:
    assert table.n == 412
    assert pivot([metric_row("a", 0.1), metric_row("b", 0.1, n=7)]).n is None


def test_table_without_rows_is_empty() -> None:
    assert pivot([]) == Table((), ())


@pytest.mark.parametrize(("sign", "expected"), [(False, "−0.1235"), (True, "−0.1235")])
def test_negative_values_are_formatted_with_a_minus_sign(sign: bool, expected: str) -> None:
    assert NDCG.format(-0.12345678, sign=sign) == expected
    assert NDCG.format(0.5, sign=True) == "+0.5000"


def test_markdown_table_equals_expected_text(table: Table) -> None:
    assert to_markdown(table) == (
        "| System | NDCG@20 | NDCG@50 | Clicks |\n"
        "| :-- | --: | --: | --: |\n"
        "| popularity | **0.0100** (0.0090–0.0110) | 0.0411 (0.0402–0.0420) | 9.50 (9.00–10.00) |\n"
        "| sasrec & co (underfit) | – | **0.1611** (0.1500–0.1700) | **4.25** (4.00–4.50) |\n"
        "| *upper-bound (oracle)* | – | 0.9000 | – |\n"
    )


def test_markdown_escapes_special_characters() -> None:
    line = to_markdown(pivot([metric_row("a|b\n*c*<i>", 0.2)]), intervals=False).splitlines()[2]
    assert line == r"| a\|b \*c\*\<i> | **0.2000** |"


def test_warnings_of_a_system_are_in_its_label_and_in_csv() -> None:
    reason = "ndcg@50 0.0100 on validation; popularity has 0.0200"
    marked = pivot(ROWS, timings={"sasrec & co": {"underfit": True, "warnings": {"below popularity": reason}}})
    assert {row.system: row.label for row in marked.rows}["sasrec & co"] == "sasrec & co (underfit, below popularity)"
    lines = {line["system"]: line for line in csv.DictReader(io.StringIO(to_csv(marked)))}
    assert lines["sasrec & co"]["warnings"] == f"below popularity: {reason}"


def test_csv_round_trips_with_full_precision(table: Table) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert rows[1] == {
        "system": "sasrec & co",
        "modalities": "audio, lyrics",
        "oracle": "0",
        "underfit": "1",
        "warnings": "",
        "group": "",
        "not_run": "",
        "ndcg@20": "",
        "ndcg@20_low": "",
        "ndcg@20_high": "",
        "ndcg@50": "0.1611",
        "ndcg@50_low": "0.15",
        "ndcg@50_high": "0.17",
        "clicks": "4.25",
        "clicks_low": "4.0",
        "clicks_high": "4.5",
    }
    assert [row["oracle"] for row in rows] == ["0", "0", "1"]


def test_csv_keeps_a_name_with_commas_quotes_and_newlines() -> None:
    name = 'a, "b"\nc'
    assert next(csv.DictReader(io.StringIO(to_csv(pivot([metric_row(name, 1 / 3)])))))["system"] == name


def test_latex_table_equals_expected_text(table: Table) -> None:
    assert to_latex(table, intervals=True) == (
        "\\begin{tabular}{lrrr}\n\\toprule\nSystem & NDCG@20 & NDCG@50 & Clicks \\\\\n\\midrule\n"
        "popularity & \\textbf{0.0100} {\\scriptsize [0.0090--0.0110]} & 0.0411 {\\scriptsize [0.0402--0.0420]}"
        " & 9.50 {\\scriptsize [9.00--10.00]} \\\\\n"
        "sasrec \\& co (underfit) & -- & \\textbf{0.1611} {\\scriptsize [0.1500--0.1700]}"
        " & \\textbf{4.25} {\\scriptsize [4.00--4.50]} \\\\\n"
        "\\midrule\nupper-bound (oracle) & -- & 0.9000 & -- \\\\\n\\bottomrule\n\\end{tabular}\n"
    )


def test_latex_escapes_every_special_character() -> None:
    text = to_latex(pivot([metric_row("50%_$x^{2}~\\#", 0.1)]))
    assert "50\\%\\_\\$x\\textasciicircum{}\\{2\\}\\textasciitilde{}\\textbackslash{}\\#" in text


LAYOUT = [
    {"system": "sasrec & co", "group": "Pairs", "not_run": []},
    {"system": "glove", "group": "Pairs", "not_run": ["encoders.g.params.path"]},
    {"system": "popularity", "group": "Others", "not_run": []},
    {"system": "upper-bound", "group": "Others", "not_run": []},
]


@pytest.fixture
def grouped() -> Table:
    return pivot([row for row in ROWS if row["metric"] == "ndcg" and row["k"] == 50], timings=TIMINGS, layout=LAYOUT)


def test_rows_follow_the_headings_and_order_of_the_layout(grouped: Table) -> None:
    assert [(group, [row.system for row in rows]) for group, rows in grouped.groups] == [
        ("Pairs", ["sasrec & co", "glove"]),
        ("Others", ["popularity"]),
    ]
    assert [row.system for row in grouped.rows] == ["sasrec & co", "glove", "popularity", "upper-bound"]
    assert [row.system for row, _ in grouped.ranked(NDCG)] == ["sasrec & co", "popularity", "upper-bound"]


def test_systems_not_run_are_left_out_of_slice_tables() -> None:
    assert [row.system for row in pivot(ROWS, slice="cold", layout=LAYOUT).rows] == ["popularity"]
    assert pivot([], layout=LAYOUT) == Table((), ())


def test_all_formats_have_headings_and_rows_not_run(grouped: Table) -> None:
    assert to_markdown(grouped, intervals=False).splitlines()[2:] == [
        "| **Pairs** |  |",
        "| sasrec & co (underfit) | **0.1611** |",
        "| glove | not run: give its path (--set encoders.g.params.path=…) |",
        "| **Others** |  |",
        "| popularity | 0.0411 |",
        "| *upper-bound (oracle)* | 0.9000 |",
    ]
    assert to_latex(grouped).splitlines()[4:-2] == [
        "\\multicolumn{2}{l}{\\textit{Pairs}} \\\\",
        "sasrec \\& co (underfit) & \\textbf{0.1611} \\\\",
        "glove & \\multicolumn{1}{l}{not run: give its path (--set encoders.g.params.path=\\ldots{})} \\\\",
        "\\multicolumn{2}{l}{\\textit{Others}} \\\\",
        "popularity & 0.0411 \\\\",
        "\\midrule",
        "upper-bound (oracle) & 0.9000 \\\\",
    ]
    rows = list(csv.DictReader(io.StringIO(to_csv(grouped))))
    assert [(row["group"], row["not_run"][:7]) for row in rows] == [
        ("Pairs", ""),
        ("Pairs", "not run"),
        ("Others", ""),
        ("Others", ""),
    ]


def test_side_by_side_table_has_columns_and_best_cells_per_run() -> None:
    small = pivot(
        [metric_row("ease", 0.3, ci_low=0.2, ci_high=0.4), metric_row("popularity", 0.1, ci_low=None, ci_high=None)]
    )
    large = pivot(
        [
            metric_row("popularity", 0.5, ci_low=None, ci_high=None),
            metric_row("transrec", 0.4, ci_low=None, ci_high=None),
        ],
        timings={"popularity": {"underfit": True}},
    )
    found = side_by_side({"small": small, "large": large})
    assert [column.label for column in found.columns] == ["small: NDCG@50", "large: NDCG@50"]
    assert to_markdown(found).splitlines()[2:] == [
        "| ease | **0.3000** (0.2000–0.4000) | – |",
        "| popularity (underfit) | 0.1000 | **0.5000** |",
        "| transrec | – | 0.4000 |",
    ]
    head, *lines = csv.reader(io.StringIO(to_csv(found)))
    assert head[7:] == [f"{run} ndcg@50{part}" for run in ("small", "large") for part in ("", "_low", "_high")]
    assert lines[2][7:] == ["", "", "", "0.4", "", ""]
    assert side_by_side({"small": small}).n == small.n


def test_side_by_side_table_has_each_heading_once() -> None:
    layouts = {"a": {"ease": "Old", "sasrec": "New"}, "b": {"sasrec": "New", "popularity": "Old"}}
    found = side_by_side(
        {
            run: pivot(
                [metric_row(system, 0.1) for system in layout],
                layout=[{"system": system, "group": group, "not_run": []} for system, group in layout.items()],
            )
            for run, layout in layouts.items()
        }
    )
    assert [(group, [row.system for row in rows]) for group, rows in found.groups] == [
        ("Old", ["ease", "popularity"]),
        ("New", ["sasrec"]),
    ]

"""`segue report`: write the page of a run again, a page of several runs, or their table for a paper."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from segue.commands.application import Debug


class Form(StrEnum):
    """Formats of a report."""

    html = "html"
    markdown = "markdown"
    csv = "csv"
    latex = "latex"


Runs = Annotated[list[Path], typer.Argument(metavar="RUN…", help="Directories of finished runs.", show_default=False)]
Format = Annotated[Form, typer.Option("--format", help="html is the whole page, the others are the table of results.")]
Out = Annotated[
    Path | None,
    typer.Option(
        help="File to write; default: RUN/report.html, report.html here for several, or the terminal.",
        show_default=False,
    ),
]
Split = Annotated[str, typer.Option(help="valid or test, for tables.")]
Intervals = Annotated[
    bool, typer.Option("--intervals", help="95 % intervals in the cells of LaTeX too; Markdown and CSV have them.")
]
Across = Annotated[
    bool, typer.Option("--across", help="Runs of different data in one table: a block of columns of each run.")
]
Slice = Annotated[str, typer.Option(help="all, warm, cold, …, for tables.")]


def report(
    run: Runs,
    format: Format = Form.html,
    out: Out = None,
    split: Split = "test",
    slice: Slice = "all",
    intervals: Intervals = False,
    across: Across = False,
    debug: Debug = False,
) -> None:
    """Write the report of one run, or of several next to each other, as a page or as a table."""
    from toolkit.errors import InputError
    from toolkit.files import write_bytes
    from toolkit.plugins import suggest
    from toolkit.report import merge_runs, result_tables
    from toolkit.report.page import html
    from toolkit.report.run_files import RunFiles

    if intervals and format is not Form.latex:
        raise InputError(f"--intervals is for --format latex, not {format.value}: take it out")
    if across and format is Form.html:
        raise InputError("--across is for tables, not for the page: give --format markdown, csv or latex")
    read = [RunFiles.read(each) for each in run]
    each = merge_runs.across(read) if across else {"": merge_runs.merge(read)}
    if format is Form.html:
        target = out or (run[0] if len(run) == 1 else Path()) / "report.html"
        write_bytes(target, html(each[""]).encode("utf-8"))
        print(f"report    {target}")
        return
    rows = [row for files in each.values() for row in files.metrics]
    for name, value, known in (
        ("split", split, {row["split"] for row in rows}),
        ("slice", slice, {row["slice"] for row in rows}),
    ):
        if value not in known:
            raise InputError(f"--{name}={value!r} is not in any of these runs: {suggest(value, sorted(known))}")
    made = {
        name: result_tables.pivot(files.metrics, split=split, slice=slice, timings=files.timings, layout=files.table)
        for name, files in each.items()
    }
    table = result_tables.side_by_side(made) if across else made[""]
    if format is Form.latex:
        text = result_tables.to_latex(table, intervals=intervals)
    else:
        text = result_tables.to_csv(table) if format is Form.csv else result_tables.to_markdown(table)
    if out is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        write_bytes(out, text.encode("utf-8"))
        print(f"report    {out}")

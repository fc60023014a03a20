"""Command `segue report`, which writes the page of one or several runs, or a table for a paper."""

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
Format = Annotated[
    Form, typer.Option("--format", help="html writes the whole page; the other formats write the table of results.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="File to write; default: RUN/report.html, report.html for several runs, or the terminal for tables.",
        show_default=False,
    ),
]
Split = Annotated[str, typer.Option(help="The split of a table: valid or test.")]
Intervals = Annotated[
    bool, typer.Option("--intervals", help="Print 95 % intervals in LaTeX tables, as in Markdown and CSV.")
]
Across = Annotated[
    bool, typer.Option("--across", help="Combine runs on different data in one table, with a block of columns per run.")
]
Slice = Annotated[str, typer.Option(help="The slice of a table: all, warm, cold, …")]


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
    """Write the report of one or several runs as a page or a table."""
    from toolkit.errors import InputError
    from toolkit.files import write_bytes
    from toolkit.plugins import suggest
    from toolkit.report import merge_runs, result_tables
    from toolkit.report.page import html
    from toolkit.report.run_files import RunFiles
    from toolkit.terminal import show

    if intervals and format is not Form.latex:
        raise InputError(f"--intervals can be set only with --format latex, not {format.value}: remove --intervals")
    if across and format is Form.html:
        raise InputError("--across requires a table format, not html: add --format markdown, csv or latex")
    read = [RunFiles.read(each) for each in run]
    each = merge_runs.across(read) if across else {"": merge_runs.merge(read)}
    if format is Form.html:
        target = out or (run[0] if len(run) == 1 else Path()) / "report.html"
        write_bytes(target, html(each[""]).encode("utf-8", "backslashreplace"))
        print(f"report    {target}")
        return
    rows = [row for files in each.values() for row in files.metrics]
    for name, value, known in (
        ("split", split, {row["split"] for row in rows}),
        ("slice", slice, {row["slice"] for row in rows}),
    ):
        if value not in known:
            raise InputError(f"--{name}={value!r} is not in these runs: {suggest(value, sorted(known))}")
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
        show(text)
    else:
        write_bytes(out, text.encode("utf-8", "backslashreplace"))
        print(f"report    {out}")

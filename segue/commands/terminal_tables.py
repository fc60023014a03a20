"""Tables for the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.report.result_tables import Cell, Column, Row, pivot
from toolkit.terminal import escaped, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from toolkit.continuation import Next
    from toolkit.result_types import ComparisonRow, Example, MetricRow, TableRow, Timing


def result_table(
    rows: Sequence[MetricRow],
    timings: Mapping[str, Timing],
    layout: Sequence[TableRow] = (),
) -> Table:
    """Return a table of systems by metric on the test split, with 95 % intervals and oracles in a separate block."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    pivoted = pivot(rows, timings=timings, layout=layout)
    size = f"{pivoted.n:,} test playlist{'s' if pivoted.n != 1 else ''}" if pivoted.n else "test playlists"
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{size}, 95 % intervals",
        title_justify="left",
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    table.add_column("system", no_wrap=True)
    for column in pivoted.columns:
        table.add_column(Text(printable(column.label)), justify="right", no_wrap=True)
    for group, systems in pivoted.groups:
        table.add_section()
        if group:
            table.add_row(Text(printable(group), style="bold"))
        for row in systems:
            table.add_row(_name(row), *map(_cell, row.cells))
    table.add_section()
    for row in pivoted.rows:
        if row.oracle:
            table.add_row(_name(row), *map(_cell, row.cells))
    return table


def print_failed(failed: Mapping[str, str]) -> None:
    """Print a line on stderr for each failed system, and exit with 1 if there are any."""
    import sys

    import typer

    for name, why in failed.items():
        print(f"segue: {printable(name)} failed: {printable(why)}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def detectable(comparisons: Sequence[ComparisonRow]) -> str:
    """Return the smallest differences from the reference that this number of playlists can show, or ""."""
    import math
    import statistics

    from toolkit.report.claims import cannot_show, cure

    by_column: dict[Column, list[float]] = {}
    rows = [row for row in comparisons if row["slice"] == "all"]
    for row in rows:
        if row.get("detectable") is not None or cannot_show(row):
            by_column.setdefault(Column.of(row), []).append(row.get("detectable") or math.inf)
    if not by_column:
        return ""
    least = {column: statistics.median_high(values) for column, values in by_column.items()}
    differences = ", ".join(
        f"{column.label} {column.format(value)}" for column, value in least.items() if math.isfinite(value)
    )
    none = ", ".join(column.label for column, value in least.items() if not math.isfinite(value))
    playlists = f"{rows[0]['n']:,} playlists" + _independent(rows[0])
    sentences = []
    if differences:
        compared = f"differences from {rows[0]['reference']} of at least {differences}"
        sentences.append(f"{playlists} can show (p < .05, power 80 %) {compared}")
    if none:
        sentences.append(f"{playlists} cannot show any difference in {none}: {cure(rows[0])}")
    return "\n".join(sentences)


def _independent(row: ComparisonRow) -> str:
    """Return the effective number of independent playlists if it is smaller than their number."""
    independent = row.get("independent", row["n"])
    return f" (worth {independent:,.1f} independent ones)" if independent < row["n"] - 0.05 else ""


def situation_tables(rows: Sequence[MetricRow], timings: Mapping[str, Timing]) -> list[Table]:
    """Return a table per metric: systems by challenge situation on the test split."""
    from rich import box
    from rich.table import Table

    names = list(dict.fromkeys(row["slice"] for row in rows if row["slice"].startswith("situation:")))
    parts = {name: part for name in names if (part := pivot(rows, slice=name, timings=timings)).columns}
    tables = []
    for column in next(iter(parts.values())).columns if parts else ():
        table = Table(
            box=box.SIMPLE_HEAD,
            title=f"{column.label} by situation",
            title_justify="left",
            padding=(0, 1, 0, 0),
            show_edge=False,
        )
        table.add_column("system", no_wrap=True)
        for name, part in parts.items():
            table.add_column(f"{name.partition(':')[2]}\n(n {part.n})", justify="right", no_wrap=True)
        cells = [{row.system: cell for row, cell in part.ranked(column)} for part in parts.values()]
        for row in next(iter(parts.values())).rows:
            table.add_row(_name(row), *(_cell(each.get(row.system)) for each in cells))
        tables.append(table)
    return tables


def print_whole(console: Console, table: Table) -> None:
    """Print a table in full width. Numbers must not be truncated in a narrow terminal."""
    needed = console.measure(table, options=console.options.update(width=1000)).maximum
    console.width = max(console.width, needed)
    console.print(table, crop=False)


def _name(row: Row) -> Text:
    from rich.text import Text

    under = row.marks or ("failed" if row.failed else "not run: give its path" if row.not_run else "")
    style = "dim" if row.oracle else "yellow" if row.underfit or row.warnings else ""
    return Text(printable(row.system) + (f"\n  {printable(under)}" if under else ""), style=style)


def _cell(cell: Cell | None) -> Text:
    from rich.text import Text

    if cell is None:
        return Text("–")
    text = Text(cell.text, style="bold green" if cell.best else "")
    if cell.low is not None and cell.high is not None:
        text.append(f"\n{interval(cell.column, cell.low, cell.high)}", style="dim")
    return text


def interval(column: Column, low: float, high: float) -> str:
    """Return a short interval for a terminal column, such as `0.120–0.131`."""
    return f"{column.format(low, most=3)}–{column.format(high, most=3)}"


def continuation_table(tracks: Sequence[Next], *, system: str) -> Table:
    """Return a table with rank, title, artist, album, id and score."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"next tracks by {system}",
        title_justify="left",
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    table.add_column("#", justify="right")
    for name in ("title", "artist", "album", "id"):
        table.add_column(name)
    table.add_column("score", justify="right")
    for rank, track in enumerate(tracks, start=1):
        named = [Text(printable(value or "–")) for value in (track.title, track.artist, track.album, track.id)]
        table.add_row(str(rank), *named, f"{track.score:.3f}")
    return table


def next_command(run: Path, examples: Sequence[Example]) -> str:
    """Return a line with a `segue continue` command for the first seeds of an example, or "" without examples.

    - run: folder of the run whose model continues playlists.
    """
    ids = [track["id"] for example in examples[:1] for track in example["seeds"]]
    seeds = [id for id in ids if escaped(id) == id][:3]  # a command with an escaped id would not find the track
    if not seeds:
        return ""
    return f"try next  segue continue {shlex.quote(str(run))} --tracks {shlex.quote(','.join(seeds))}"

"""Command `segue compare`, which shows the differences between two runs and their significance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segue.commands.application import Debug
from toolkit.terminal import printable

if TYPE_CHECKING:
    from rich.table import Table

    from toolkit.pipeline.programs.compare_runs import Change, Comparison, Pair
    from toolkit.report.result_tables import Column

RunA = Annotated[Path, typer.Argument(metavar="A", help="A finished run's directory.", show_default=False)]
RunB = Annotated[Path, typer.Argument(metavar="B", help="The directory of another finished run.", show_default=False)]
Metric = Annotated[
    str | None,
    typer.Option(help="A metric such as recall@50; default: the selection metric of run A.", show_default=False),
]
LONGEST = 60


def compare(a: RunA, b: RunB, metric: Metric = None, debug: Debug = False) -> None:
    """Show the differences between two runs and their significance."""
    import sys

    from rich.console import Console

    from segue.commands.terminal_tables import print_whole
    from toolkit.pipeline.programs.compare_runs import compare as compared

    comparison = compared(a, b, key=metric)
    console = Console(width=None if sys.stdout.isatty() else 140)
    if comparison.not_compared and not comparison.pairs:
        reason = printable(f"not compared: {comparison.not_compared}")
        console.print(reason, highlight=False, markup=False, soft_wrap=True)
    for title, changes in (("recipe", comparison.recipe), ("surroundings", comparison.surroundings)):
        if changes:
            print_whole(console, _changed(title, changes))
        else:
            console.print(f"{title}: no difference", highlight=False)
    if comparison.pairs:
        print_whole(console, _measured(comparison))
    if comparison.tested > 1:
        corrected = f"p (Holm) is corrected for the {comparison.tested} pairs tested together"
        console.print(f"p is the larger value of two tests; {corrected}", highlight=False, soft_wrap=True)
    if comparison.not_compared and comparison.pairs:
        console.print(printable(f"note: {comparison.not_compared}"), highlight=False, markup=False, soft_wrap=True)


def _changed(title: str, changes: list[Change]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        "key", "A", "B", box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1, 0, 0), show_edge=False
    )
    for key, before, after in changes:
        table.add_row(*(Text(printable(value)) for value in (key, _short(before), _short(after))))
    return table


def _measured(comparison: Comparison) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from toolkit.report.page_sections import column_of

    column, n = column_of(comparison.key), max(pair.difference.n for pair in comparison.pairs)
    title = f"{column.label} over {n:,} test playlists of both, B less A"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1, 0, 0), show_edge=False)
    for name in ("system", "A", "B", "difference", "95 % interval", "p", "p (Holm)", "reading"):
        table.add_column(name, justify="left" if name in ("system", "reading") else "right", no_wrap=True)
    for pair in comparison.pairs:
        name = pair.system_a if pair.system_a == pair.system_b else f"{pair.system_a} → {pair.system_b} (best of each)"
        ends = () if pair.identical else (pair.difference.low, pair.difference.high)
        bounds = " to ".join(column.format(end, sign=True) for end in ends) or "–"
        values = (
            column.format(pair.value_a),
            column.format(pair.value_b),
            column.format(pair.difference.value, sign=True),
        )
        difference = pair.difference
        p_values = map(_p, (max(difference.p, difference.p_t), max(pair.p_holm, pair.p_t_holm)))
        table.add_row(*map(Text, (printable(name), *values, bounds, *p_values, _reading(pair, column))))
    return table


def _reading(pair: Pair, column: Column) -> str:
    """Return the conclusion from the interval and the corrected tests. The tests of an oracle are not corrected."""
    from toolkit.report.claims import why_not_shown

    higher = pair.difference.low > 0
    better = "" if not column.lower_is_better else ", worse" if higher else ", better"
    if pair.identical:
        return "identical on every playlist"
    return why_not_shown(pair.row(column.key)) or f"B is {'higher' if higher else 'lower'}{better}"


def _p(value: float) -> str:
    return "–" if value != value else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _short(value: object) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"

"""Command `segue bench`, which tunes all baselines with the same budget and compares the results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segue.commands.application import Debug
from segue.commands.run import Overrides, Recipe

if TYPE_CHECKING:
    from rich.table import Table

    from toolkit.pipeline.programs.tune_baselines import BenchResult
    from toolkit.report.result_tables import Column


def bench(
    recipe: Recipe,
    overrides: Overrides = [],  # noqa: B006 (Typer reads it, nobody changes it)
    baselines: Annotated[str, typer.Option(help="all, cheap (without neural), or names separated by commas.")] = "all",
    models: Annotated[
        str, typer.Option(help="Models of the recipe to run as well, separated by commas; default: none.")
    ] = "",
    select: Annotated[
        str | None, typer.Option(help="The metric to tune for, such as recall@50.", show_default=False)
    ] = None,
    budget: Annotated[int, typer.Option(min=1, help="Number of settings of each baseline to try on validation.")] = 6,
    max_seconds: Annotated[float, typer.Option(min=1, help="Limit for training a neural baseline.")] = 3600,
    out: Annotated[
        Path | None, typer.Option(help="Folder; default: runs/ and the recipe's name and -bench.", show_default=False)
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Also write the table as JSON to this file.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Tune all baselines on validation with the same budget, run them and compare. The same command resumes."""
    from rich.console import Console

    from segue.commands.terminal_tables import print_failed, print_whole
    from toolkit import progress
    from toolkit.files import write_json
    from toolkit.recipe import Recipe as Settings
    from toolkit.recipe import load

    settings: Settings = load(recipe, overrides, parameters=True)
    folder = out or Path("runs") / f"{settings.name}-bench"
    with progress.reporter(Console(stderr=True)) as reporter:
        from toolkit.pipeline.programs.tune_baselines import bench as run

        names, wanted = _listed(baselines), _listed(models)
        result = run(
            settings,
            folder,
            baselines=names,
            models=wanted,
            select=select,
            budget=budget,
            max_seconds=max_seconds,
            progress=reporter,
        )
    console = Console(width=None if _terminal() else 140)
    print_whole(console, bench_table(result))
    console.print(f"report    {folder / 'run' / 'report.html'}", highlight=False, markup=False, soft_wrap=True)
    if save is not None:
        write_json(save, result)
    print_failed(result["failed"])


def bench_table(result: BenchResult) -> Table:
    """Return a table with one row per system, best first.

    Columns: test values with 95 % intervals, seconds for fitting and ranking, peak memory, tuned setting.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from toolkit.report.page_sections import column_of

    columns = [key for key in result["rows"][0]["values"] if key.startswith("test all ")]
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"tuned for {result['tuned_for']}, {result['budget']} settings each",
        title_justify="left",
    )
    table.add_column("system", no_wrap=True)
    for name in (*(key.removeprefix("test all ") for key in columns), "fit s", "rank s", "peak MB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("setting")
    for row in result["rows"]:
        words = [word for word in ("oracle", "underfit") if row[word]]
        marks = ", ".join([*words, *row.get("warnings", {})])
        cells = [_cell(column_of(key.removeprefix("test all ")), row["values"][key]) for key in columns]
        fitted = f"as {row['training_of']}" if row.get("training_of") else f"{row['fit_seconds']:.1f}"
        costs = [fitted, f"{row['evaluate_seconds']:.1f}", f"{row['peak_mb']:,.0f}"]
        setting = ", ".join(f"{key}={value}" for key, value in row["params"].items())
        table.add_row(Text(row["system"] + (f"\n  {marks}" if marks else "")), *cells, *costs, Text(setting))
    return table


def _cell(column: Column, values: Sequence[float | None]) -> str:
    from segue.commands.terminal_tables import interval

    value, low, high = values
    text = "–" if value is None else column.format(value)
    return text + (f"\n{interval(column, low, high)}" if low is not None and high is not None else "")


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _terminal() -> bool:
    import sys

    return sys.stdout.isatty()

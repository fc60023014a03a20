"""Command `segue sweep`, which searches a recipe's settings on validation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segue.commands.application import Debug
from segue.commands.run import Overrides, Recipe

if TYPE_CHECKING:
    from rich.table import Table

    from toolkit.pipeline.programs.sweep_settings import SweepResult, Trial


def sweep(
    recipe: Recipe,
    overrides: Overrides = [],  # noqa: B006 (Typer reads it, nobody changes it)
    out: Annotated[
        Path | None, typer.Option(help="Folder; default: runs/ and the recipe's name and -sweep.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Try the settings of a recipe's `sweep` on validation and write the best recipe. The same command resumes."""
    import shlex
    import sys

    from rich.console import Console

    from segue.commands.terminal_tables import print_failed, print_whole
    from toolkit import progress
    from toolkit.recipe import Recipe as Settings
    from toolkit.recipe import load

    settings: Settings = load(recipe, overrides, parameters=True)
    folder = out or Path("runs") / f"{settings.name}-sweep"
    with progress.reporter(Console(stderr=True)) as reporter:
        from toolkit.pipeline.programs.sweep_settings import BEST
        from toolkit.pipeline.programs.sweep_settings import sweep as search

        result = search(settings, folder, progress=reporter)
    console = Console(width=None if sys.stdout.isatty() else 140)
    print_whole(console, sweep_table(result))
    # only the run of the best recipe evaluates on test
    console.print(
        f"try next  segue run {shlex.quote(str(folder / BEST))}", highlight=False, markup=False, soft_wrap=True
    )
    print_failed({f"trial {row['number']}": row["failed"] for row in result["trials"] if "failed" in row})


def sweep_table(result: SweepResult) -> Table:
    """Return a table with one row per trial, best first: settings, validation value, epochs and seconds."""
    from rich import box
    from rich.table import Table

    keys = list(result["trials"][0]["settings"])
    title = f"{result['system']}: {len(result['trials'])} trials by {result['select']}"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("trial", justify="right")
    for key in keys:
        table.add_column(key, justify="right", no_wrap=True)
    for name in (result["select"], "epochs", "s"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in sorted(result["trials"], key=lambda row: (-_value(row), row["number"])):
        cells = [f"{value:.4g}" if isinstance(value := row["settings"][key], float) else str(value) for key in keys]
        value = "failed" if row["value"] is None else f"{row['value']:.4f}"
        epochs = f"{row['epochs']}{' underfit' if row['underfit'] else ''}" if row["epochs"] else "–"
        style = "bold green" if row["number"] == result["best"] else ""
        table.add_row(str(row["number"]), *cells, value, epochs, f"{row['seconds']:.1f}", style=style)
    return table


def _value(row: Trial) -> float:
    return -math.inf if row["value"] is None else row["value"]

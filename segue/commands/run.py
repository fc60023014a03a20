"""Command `segue run`, which runs a recipe or resumes an earlier run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segue.commands.application import Debug

if TYPE_CHECKING:
    from toolkit.pipeline.write.write_results import Results

Recipe = Annotated[Path, typer.Argument(help="A recipe, such as recipes/quickstart.yaml.", show_default=False)]
Overrides = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Override a value: models.0.epochs=5. May be given several times."),
]


def run(
    recipe: Recipe,
    overrides: Overrides = [],  # noqa: B006 (Typer reads it, nobody changes it)
    out: Annotated[
        Path | None, typer.Option(help="Run directory; default: runs/ and the recipe's name.", show_default=False)
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run all stages again, including finished ones.")] = False,
    debug: Debug = False,
) -> None:
    """Run a recipe: ingest and collect, split and encode, fit and evaluate, report. The same command resumes it."""
    # `torchrun --nproc-per-node N -m toolkit run …` starts this N times
    from rich.console import Console

    from segue.commands.distributed_run import together
    from toolkit import progress
    from toolkit.recipe.yaml_file import read

    with together() as leads:
        written = read(recipe, overrides)
        settings = written.recipe()
        run_dir = out or Path("runs") / settings.name
        if not leads:
            from toolkit import pipeline

            return pipeline.follow(settings, run_dir)
        with progress.reporter(Console(stderr=True)) as reporter:
            if not (run_dir / "metrics.json").exists():
                from toolkit.pipeline.run import preflight

                preflight.admit(settings, written)
            from toolkit import pipeline

            with written.placing():
                results = pipeline.run(settings, run_dir, progress=reporter, fresh=fresh)
        _print(results, run_dir)


def _print(results: Results, run_dir: Path) -> None:
    import sys

    from rich.console import Console

    from segue.commands.terminal_tables import (
        detectable,
        next_command,
        print_failed,
        print_whole,
        result_table,
        situation_tables,
    )
    from toolkit import run_directory

    console = Console(width=None if sys.stdout.isatty() else 140)
    for table in (
        result_table(results.metrics, results.timings, results.table),
        *situation_tables(results.metrics, results.timings),
    ):
        print_whole(console, table)
    lines = [
        detectable(results.comparisons),
        f"report    {run_dir / run_directory.REPORT}",
        next_command(results.model_run, results.examples),
    ]
    for line in filter(None, lines):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    print_failed(results.failed)

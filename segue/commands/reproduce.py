"""Command `segue reproduce`, which runs a recipe again and compares all metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.commands.application import Debug

Directory = Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's directory.", show_default=False)]
Out = Annotated[Path | None, typer.Option(help="Folder for the new run; default: RUN-again.", show_default=False)]


def reproduce(run: Directory, out: Out = None, debug: Debug = False) -> None:
    """Run the recipe of a finished run again without caches. The exit code is 1 if a metric differs."""
    from rich.console import Console

    from segue.commands.terminal_tables import print_failed
    from toolkit import progress
    from toolkit.pipeline.programs.reproduce_run import reproduce as rerun
    from toolkit.terminal import show

    target = out or run.with_name(f"{run.resolve().name}-again")
    with progress.reporter(Console(stderr=True)) as reporter:
        reproduction = rerun(run, target, progress=reporter)
    for key, before, after in reproduction.manifest:
        show(f"changed environment: {key} was {before}, is {after}")
    for key, before, after in reproduction.metrics:
        show(f"differs: {key} was {before}, is {after}")
    if reproduction.same:
        print(f"{run} is reproduced: metrics.json is identical to the byte")
        return print_failed(reproduction.failed)
    known = (
        ", and the changes of the environment are listed above"
        if reproduction.manifest
        else ", although nothing in the manifest has changed"
    )
    print(f"{run} is not reproduced: {len(reproduction.metrics)} values differ{known}")
    print_failed(reproduction.failed)
    raise typer.Exit(1)

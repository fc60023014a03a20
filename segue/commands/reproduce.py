"""`segue reproduce`: run a recipe again and compare all numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.commands.application import Debug

Directory = Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's directory.", show_default=False)]
Out = Annotated[Path | None, typer.Option(help="Folder for the new run; default: RUN-again.", show_default=False)]


def reproduce(run: Directory, out: Out = None, debug: Debug = False) -> None:
    """Run a finished run's recipe again, without any cache, and compare: exit code 1 if a metric differs."""
    from rich.console import Console

    from toolkit import progress
    from toolkit.pipeline.programs.reproduce_run import reproduce as rerun

    target = out or run.with_name(f"{run.resolve().name}-again")
    with progress.reporter(Console(stderr=True)) as reporter:
        reproduction = rerun(run, target, progress=reporter)
    for key, before, after in reproduction.manifest:
        print(f"other than then: {key} was {before}, is {after}")
    for key, before, after in reproduction.metrics:
        print(f"differs: {key} was {before}, is {after}")
    if reproduction.same:
        print(f"{run} is reproduced: metrics.json is the same to the byte")
        return
    known = (
        "; what was other than then is above"
        if reproduction.manifest
        else ", though nothing that the manifest holds has changed"
    )
    print(f"{run} is not reproduced: {len(reproduction.metrics)} values differ{known}")
    raise typer.Exit(1)

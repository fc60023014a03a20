"""`segue reproduce`: make a run again and say whether its numbers come out the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.commands.application import Debug

Directory = Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's directory.", show_default=False)]
Out = Annotated[Path | None, typer.Option(help="Where to make it again; default: RUN-again.", show_default=False)]


def reproduce(run: Directory, out: Out = None, debug: Debug = False) -> None:
    """Run a finished run's recipe again, without any cache, and compare: exit code 1 where a metric differs."""
    from rich.console import Console

    from toolkit import progress
    from toolkit.pipeline.programs.reproduce_run import reproduce as made_again

    target = out or run.with_name(f"{run.resolve().name}-again")
    with progress.reporter(Console(stderr=True)) as reporter:
        found = made_again(run, target, progress=reporter)
    for key, before, after in found.manifest:
        print(f"other than then: {key} was {before}, is {after}")
    for key, before, after in found.metrics:
        print(f"differs: {key} was {before}, is {after}")
    if found.same:
        print(f"{run} is reproduced: metrics.json is the same to the byte")
        return
    known = (
        "; what was other than then is above"
        if found.manifest
        else ", though nothing that the manifest holds has changed"
    )
    print(f"{run} is not reproduced: {len(found.metrics)} values differ{known}")
    raise typer.Exit(1)

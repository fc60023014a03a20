"""Command `segue export`, which writes the track vectors of a run to files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from segue.commands.application import Debug


class Format(StrEnum):
    """File formats."""

    parquet = "parquet"
    safetensors = "safetensors"
    npz = "npz"


def export(
    run_dir: Annotated[Path, typer.Argument(help="A finished run, or a saved model.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the files.", show_default=False)],
    system: Annotated[
        str | None, typer.Option(help="The system; default: the best on validation.", show_default=False)
    ] = None,
    format: Annotated[Format, typer.Option(help="Format of the files.")] = Format.parquet,
    debug: Debug = False,
) -> None:
    """Write item vectors and the vectors of each modality, with ids, titles and artists."""
    import segue

    model = segue.load(run_dir, system)
    for path in model.export(out, format.value):
        print(path)

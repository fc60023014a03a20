"""Command `segue encoders`, which lists the encoders and shows texts after cleaning and enrichment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from segue.commands.application import Debug
from segue.commands.run import Overrides, Recipe
from toolkit.terminal import escaped

if TYPE_CHECKING:
    from toolkit.pipeline.figures.text_preview import PreviewRow

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

app = typer.Typer(invoke_without_command=True, help="List the encoders, or show the texts that an encoder reads.")


@app.callback()
def encoders(ctx: typer.Context, json: Json = False, debug: Debug = False) -> None:
    """List the encoders with their inputs, dimensions and sources."""
    if ctx.invoked_subcommand is not None:
        return
    from toolkit.encoders.contract.registry import describe

    rows = describe()
    if json:
        from json import dumps

        from toolkit.terminal import show

        show(dumps(rows, ensure_ascii=False, indent=1))
        return
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("encoder", "reads", "dim", "learns", "weights", "package", "source"):
        table.add_column(name, no_wrap=name == "encoder")
    for row in rows:
        if row["error"]:
            table.add_row(row["name"], *[""] * 4, row["package"], Text(row["error"], style="red"))
            continue
        learns, dim = "yes" if row["learns"] else "no", "learned" if row["dim"] is None else str(row["dim"])
        table.add_row(
            row["name"], row["kind"], dim, learns, row["weights_licence"] or "–", row["package"], Text(row["source"])
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@app.command()
def preview(
    recipe: Recipe,
    overrides: Overrides = [],  # noqa: B006
    modality: Annotated[
        str | None,
        typer.Option(help="Name of an encoder in the recipe; default: all text encoders.", show_default=False),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            help="A field of the catalogue to show after every cleaning step, instead of an encoder.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[int, typer.Option("-n", min=1, help="Number of texts, spread over the catalogue.")] = 3,
    length: Annotated[int, typer.Option(min=1, help="Number of characters to show per text.")] = 400,
    json: Annotated[bool, typer.Option("--json", help="Print JSON with full texts.")] = False,
    debug: Debug = False,
) -> None:
    """Show texts of a recipe's catalogue before and after each step of `clean` and `enrich`."""
    from rich.console import Console

    from toolkit import progress
    from toolkit.pipeline.figures.text_preview import preview as preview_texts
    from toolkit.recipe import load

    settings = load(recipe, overrides, parameters=True)
    with progress.reporter(Console(stderr=True)) as reporter:
        shown = preview_texts(settings, modality=modality, field=field, count=count, reporter=reporter)
    if json:
        from json import dumps

        from toolkit.terminal import show

        show(dumps(shown, ensure_ascii=False, indent=1))
        return
    for row in shown:
        _show(row, length)


def _show(row: PreviewRow, length: int) -> None:
    """Print a text after each step. A step without effect is marked as unchanged."""
    print(escaped(" · ".join(filter(None, (row["track"], row["modality"], row["encoder"])))))
    before = None
    for step in row["steps"]:
        text = step["text"]
        cut = text if len(text) <= length else f"{text[:length]}… ({len(text):,} characters)"
        print(f"  {step['step']}: {'unchanged' if text == before else f'{len(text):,} characters'}")
        if text != before:
            print("\n".join(f"    | {escaped(line)}" for line in cut.split("\n")))
        before = text
    print()

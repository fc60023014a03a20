"""Commands `segue collect` and `segue library`, which fill a library from sources, report on it and export it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segue.commands.application import Debug
from segue.commands.run import Overrides

if TYPE_CHECKING:
    from collectors.collect import Collect
    from toolkit.catalogue.store import Catalogue
    from toolkit.progress import Reporter

    Origin = Callable[[Reporter, Path], Path | str | None]

library = typer.Typer(
    no_args_is_help=True, help="Report on a library filled by `segue collect`: state, coverage, terms and fields."
)

Where = Annotated[str, typer.Option("--library", metavar="DIR", help="Folder of the library, or a database's URL.")]
Blobs = Annotated[
    Path | None, typer.Option(help="Folder of covers and audio, with a database's URL.", show_default=False)
]

Fields = Annotated[list[str], typer.Option(help="A field to collect; default: all fields of the source.")]
SourceParams = Annotated[list[str], typer.Option(metavar="KEY=VALUE", help="A parameter of the source.")]


class Form(StrEnum):
    """Formats of a table."""

    markdown = "markdown"
    csv = "csv"


def collect(
    recipe: Annotated[
        Path | None,
        typer.Argument(
            help="A recipe with a `collect` section; without one, --library and --source.", show_default=False
        ),
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    library: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder of the library, or a database's URL.", show_default=False)
    ] = None,
    blobs: Blobs = None,
    source: Annotated[list[str], typer.Option(help="A source. May be given several times.")] = [],  # noqa: B006
    field: Fields = [],  # noqa: B006
    param: SourceParams = [],  # noqa: B006
    contact: Annotated[
        str | None,
        typer.Option(help="E-mail address or page that hosts can contact; default: SEGUE_CONTACT.", show_default=False),
    ] = None,
    patience: Annotated[
        float | None, typer.Option(help="Longest wait inside a run, in seconds.", show_default="300")
    ] = None,
    again: Annotated[
        list[str], typer.Option(metavar="STATUS", help="Repeat requests that ended with this status: failed, absent, …")
    ] = [],  # noqa: B006
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the number of requests and hours without sending or writing anything."),
    ] = False,
    debug: Debug = False,
) -> None:
    """Collect audio features, lyrics, covers, biographies and tags.

    The same command resumes where it stopped, even days later.
    """
    from rich.console import Console

    from collectors import collect as collecting
    from collectors.library import fill, open_library
    from toolkit import progress
    from toolkit.files import cache_folder

    optional = {"contact": contact, "patience_s": patience, "again": again or None, "library": library, "blobs": blobs}
    options = {name: value for name, value in optional.items() if value is not None}
    if recipe is None:
        params, origin = _without_recipe(options, overrides, source, field, param), None
    else:
        params, origin = _from_recipe(recipe, overrides, options, [*source, *field, *param])
    with progress.reporter(Console(stderr=True)) as reporter:
        if dry_run:
            _dry_run(params, origin, reporter)
            return
        collecting.prepare(params)
        catalogue = origin(reporter, cache_folder()) if origin else None
        with open_library(params.library, blobs=params.blobs, new=catalogue is not None) as opened:
            if catalogue is not None:
                fill(opened, catalogue)
            summaries = collecting.collect(params, opened, reporter=reporter)
    for summary in summaries:
        print(collecting.summary_line(summary))


@library.command()
def status(library: Where = "library", blobs: Blobs = None, debug: Debug = False) -> None:
    """Show the progress of every source and the reasons why sources stopped."""
    from collectors import library_reports
    from toolkit.terminal import show

    with _open(library, blobs) as opened:
        for line in library_reports.status(opened):
            show(line)
        for line in library_reports.troubles(opened):
            show(f"  {line}")


@library.command()
def coverage(
    library: Where = "library",
    blobs: Blobs = None,
    form: Annotated[Form, typer.Option("--format", help="markdown or csv.")] = Form.markdown,
    debug: Debug = False,
) -> None:
    """Count found, absent and failed values by field and source."""
    from collectors import library_reports
    from toolkit.terminal import show

    with _open(library, blobs) as opened:
        rows = library_reports.coverage(opened)
    table = library_reports.markdown if form is Form.markdown else library_reports.as_csv
    show(table(rows, library_reports.COVERAGE))


@library.command()
def terms(library: Where = "library", blobs: Blobs = None, debug: Debug = False) -> None:
    """Show the terms of the sources that filled the library: training, licence, attribution, storage."""
    from collectors import library_reports
    from toolkit.terminal import show

    with _open(library, blobs) as opened:
        show(library_reports.markdown(library_reports.terms(opened), library_reports.TERMS))


@library.command()
def export(
    field: Annotated[
        str, typer.Option(help="A field of the library, or a template such as '{title} {lyrics}'.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="File to write: .parquet or .csv.", show_default=False)],
    source: Annotated[str | None, typer.Option(help="Only values of this source.", show_default=False)] = None,
    library: Where = "library",
    blobs: Blobs = None,
    debug: Debug = False,
) -> None:
    """Write a field of all tracks that have it to Parquet or CSV, with the sources' terms as metadata."""
    from collectors.library_export import export as write

    with _open(library, blobs) as opened:
        print(f"{out}: {write(opened, field, out, source=source):,} tracks with {field}")


def _without_recipe(
    options: Mapping[str, object], overrides: list[str], sources: list[str], fields: list[str], params: list[str]
) -> Collect:
    """Return the settings `collect` from command-line options only."""
    from collectors.collect import parse
    from toolkit.errors import InputError
    from toolkit.recipe.yaml_file import pairs

    if overrides:
        raise InputError(f"--set {overrides[0]} requires a recipe: pass a recipe, or use --source, --field and --param")
    if not sources or "library" not in options:
        raise InputError("collecting requires a recipe or a source: pass RECIPE, or --library DIR and --source NAME")
    if len(sources) > 1 and (fields or params):
        raise InputError(
            f"--field and --param require a single --source, not {len(sources)}: pass one, or write a recipe"
        )
    specs = [{"source": name, "params": pairs(params, "--param"), "fields": fields or None} for name in sources]
    return parse({**options, "sources": specs})


def _from_recipe(
    recipe: Path, overrides: list[str], options: Mapping[str, object], refused: list[str]
) -> tuple[Collect, Origin]:
    """Return the settings `collect` of a recipe and a function that builds the catalogue of the recipe's data.

    refused: values of options that are not allowed with a recipe.
    """
    from collectors.collect import parse
    from toolkit.errors import InputError
    from toolkit.recipe import load

    if refused:
        raise InputError(
            f"{refused[0]!r} can be set only without a recipe: remove --source, --field and --param, and change"
            " the recipe or use --set collect.…"
        )
    settings = load(recipe, overrides, parameters=True)
    if settings.collect is None:
        raise InputError(
            f"{recipe} must have a `collect` section: add the section, or pass --library and --source instead"
        )

    def origin(reporter: Reporter, cache: Path) -> Path | str | None:
        from toolkit.ingest.read_data import ingest

        return ingest(settings.data, cache, reporter=reporter).catalogue

    return parse({**settings.collect, **options}), origin


def _open(library: str, blobs: Path | None) -> Catalogue:
    """Open a library for a report. The report reads no covers, so the blob folder of a database is arbitrary."""
    from collectors.library import open_library

    return open_library(library, blobs=blobs or (Path("blobs") if "://" in library else None))


def _dry_run(params: Collect, origin: Origin | None, reporter: Reporter) -> None:
    """Print the forecast of requests. The data is read into a temporary folder."""
    import tempfile

    from collectors.engine.forecast import forecast
    from toolkit.progress import duration

    with tempfile.TemporaryDirectory(prefix="segue-") as scratch:
        outlook = forecast(params, origin(reporter, Path(scratch)) if origin else None)
    if any(outlook.added.values()):
        entities = ", ".join(f"{n:,} {entity}s" for entity, n in outlook.added.items())
        change = "does not exist and would be made" if outlook.new else "would be completed"
        print(f"{params.library} {change} with {entities}")
    for row in outlook.rows:
        requests = f"{row.requests:>9,} requests at most"
        print(f"{row.source:<18} {row.fields:<40} {requests}, {duration(row.seconds)} at the hosts' pace")
    if outlook.hosts:
        print(f"requests would go to {outlook.hosts}")

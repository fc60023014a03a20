"""`segue collect` and `segue library`: fill a catalogue from its sources, and look at what is there."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segue.commands.application import Debug
from segue.commands.run import Overrides

if TYPE_CHECKING:
    from collectors.collect_section import Collect
    from toolkit.catalogue.store import Catalogue

library = typer.Typer(
    no_args_is_help=True, help="Look at a library that `segue collect` fills: its state, coverage, terms and fields."
)

Where = Annotated[str, typer.Option("--library", metavar="DIR", help="Folder of the library, or a database's URL.")]
Blobs = Annotated[
    Path | None, typer.Option(help="Folder of covers and audio, with a database's URL.", show_default=False)
]


class Form(StrEnum):
    """How a table is printed."""

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
    source: Annotated[list[str], typer.Option(help="A source to ask. May be given several times.")] = [],  # noqa: B006
    field: Annotated[list[str], typer.Option(help="A field to ask it for; default: all that it gives.")] = [],  # noqa: B006
    param: Annotated[list[str], typer.Option(metavar="KEY=VALUE", help="A parameter of the source.")] = [],  # noqa: B006
    contact: Annotated[
        str | None, typer.Option(help="Whom hosts write to; default: SEGUE_CONTACT.", show_default=False)
    ] = None,
    patience: Annotated[
        float | None, typer.Option(help="Longest wait inside a run, in seconds.", show_default="300")
    ] = None,
    again: Annotated[
        list[str], typer.Option(metavar="STATUS", help="Ask again for what ended so: failed, absent, …")
    ] = [],  # noqa: B006
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show how many requests and hours it takes; ask nobody, make nothing.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Collect audio features, lyrics, covers, biographies and tags. The same command goes on where it stopped, days later too."""
    from rich.console import Console

    from collectors import collect as collecting
    from collectors.library import fill, open_library
    from toolkit import progress
    from toolkit.files import cache_folder

    given = {"contact": contact, "patience_s": patience, "again": again or None, "library": library, "blobs": blobs}
    params, origin = _params(
        recipe, overrides, {key: value for key, value in given.items() if value is not None}, source, field, param
    )
    with progress.reporter(Console(stderr=True)) as reporter:
        if dry_run:
            _dry_run(params, origin, reporter)
            return
        collecting.ready(params)
        catalogue = origin(reporter, cache_folder()) if origin else None
        with open_library(params.library, blobs=params.blobs, new=catalogue is not None) as opened:
            if catalogue is not None:
                fill(opened, catalogue)
            summaries = collecting.collect(params, opened, reporter=reporter)
    for summary in summaries:
        print(collecting.told(summary))


@library.command()
def status(library: Where = "library", blobs: Blobs = None, debug: Debug = False) -> None:
    """How far every source is, and what stands in its way."""
    from collectors import library_reports

    with _open(library, blobs) as opened:
        for line in library_reports.status(opened):
            print(line)
        for line in library_reports.troubles(opened):
            print(f"  {line}")


@library.command()
def coverage(
    library: Where = "library",
    blobs: Blobs = None,
    form: Annotated[Form, typer.Option("--format", help="markdown or csv.")] = Form.markdown,
    debug: Debug = False,
) -> None:
    """A table of what was found, what does not exist, and what failed, by field and source."""
    from collectors import library_reports

    with _open(library, blobs) as opened:
        rows = library_reports.coverage(opened)
    table = library_reports.markdown if form is Form.markdown else library_reports.as_csv
    print(table(rows, library_reports.COVERAGE).rstrip("\n"))


@library.command()
def terms(library: Where = "library", blobs: Blobs = None, debug: Debug = False) -> None:
    """Terms of the sources that the library was filled from: training, licence, attribution, storage."""
    from collectors import library_reports
    from collectors.engine.ledger import Ledger

    with _open(library, blobs) as opened:
        rows = Ledger(opened).terms()
    print(
        library_reports.markdown(
            rows, ("source", "train_allowed", "licence", "attribution", "storage_bytes", "storage_days", "page")
        )
    )


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
    """Write a field of every track that has it to Parquet or CSV, with its sources' terms in the metadata."""
    from collectors.library_export import export as write

    with _open(library, blobs) as opened:
        print(f"{out}: {write(opened, field, out, source=source):,} tracks with {field}")


def _params(
    recipe: Path | None,
    overrides: list[str],
    given: dict[str, Any],
    source: list[str],
    field: list[str],
    param: list[str],
) -> tuple[Collect, Any]:
    """What to collect, and what makes the catalogue that the library is filled from, where a recipe names one."""
    from collectors.collect_section import parse
    from toolkit.errors import InputError

    if recipe is None:
        if overrides:
            raise InputError(f"--set {overrides[0]} is for a recipe: give one, or use --source, --field and --param")
        if not source or "library" not in given:
            raise InputError("nothing to collect: give a recipe, or --library DIR and --source NAME")
        if len(source) > 1 and (field or param):
            raise InputError("--field and --param are for one --source: give one, or write a recipe")
        from toolkit.recipe.yaml_file import pairs

        specs = [
            {"source": name, "params": pairs(param, "--param"), **({"fields": field} if field else {})}
            for name in source
        ]
        return parse({**given, "sources": specs}), None
    if source or field or param:
        raise InputError(
            "--source, --field and --param are for collecting without a recipe: change the recipe, or use --set collect.…"
        )
    from toolkit.recipe import load

    settings = load(recipe, overrides, parameters=True)
    if settings.collect is None:
        raise InputError(f"{recipe} has no `collect` section: add one, or give --library and --source")
    params: Collect = parse({**settings.collect, **given})

    def origin(reporter: Any, cache: Path) -> Path | str | None:
        from toolkit.ingest.read_data import ingest

        return ingest(settings.data, cache, reporter=reporter).catalogue

    return params, origin


def _open(where: str, blobs: Path | None) -> Catalogue:
    """Without covers nothing is read from their folder, so that any will do."""
    from collectors.library import open_library

    return open_library(where, blobs=blobs or (Path("blobs") if "://" in where else None))


def _dry_run(params: Collect, origin: Any, reporter: Any) -> None:
    """Print what would be asked. The data is read into a folder that is gone afterwards."""
    import tempfile

    from collectors.engine.forecast import forecast
    from toolkit.progress import duration

    with tempfile.TemporaryDirectory(prefix="segue-") as scratch:
        outlook = forecast(params, origin(reporter, Path(scratch)) if origin else None)
    if any(outlook.made.values()):
        come = ", ".join(f"{n:,} {entity}s" for entity, n in outlook.made.items())
        print(
            f"{params.library} {'is not there yet and would be made' if outlook.new else 'would be completed'} with {come}"
        )
    for row in outlook.rows:
        print(
            f"{row.source:<18} {row.fields:<40} {row.requests:>9,} requests at most, {duration(row.seconds)} at the hosts' pace"
        )

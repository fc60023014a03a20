"""Command `segue data`, which inspects and converts playlist files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from segue.commands.application import Debug
from toolkit.errors import InputError
from toolkit.terminal import escaped, printable

if TYPE_CHECKING:
    from toolkit.catalogue.readers.reader import Reader
    from toolkit.catalogue.table_writers import Form
    from toolkit.progress import Reporter
    from toolkit.recipe import Data

app = typer.Typer(no_args_is_help=True, help="Inspect playlist files and convert them.")

Source = Annotated[Path, typer.Argument(help="A playlist file or folder.", show_default=False)]
Name = Annotated[str, typer.Option("--reader", help="The format; auto: detect the format.")]
Options = Annotated[
    list[str],
    typer.Option("--option", metavar="KEY=VALUE", help="An option of the reader. May be given several times."),
]
Skip = Annotated[bool, typer.Option("--skip-bad", help="Leave bad records out instead of stopping at the first.")]


class Target(StrEnum):
    """Formats to which playlists can be converted."""

    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"
    recbole = "recbole"


@app.command()
def info(
    path: Source,
    reader: Name = "auto",
    options: Options = [],  # noqa: B006
    skip_bad: Skip = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    overrides: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override a value of the recipe, as in `run`.")
    ] = [],  # noqa: B006
    debug: Debug = False,
) -> None:
    """Count playlists, tracks, lengths and fields of the tracks.

    PATH may be a recipe (.yaml). The counts are then of its data, and of what its filters keep.
    """
    from dataclasses import asdict

    from rich.console import Console

    from toolkit import progress
    from toolkit.catalogue.playlist_summary import summarise

    data, recipe = _data(path, reader, options, skip_bad), path.suffix in (".yaml", ".yml")
    if recipe:
        data = _recipe_data(path, overrides, ignored=reader != "auto" or bool(options) or skip_bad)
    elif overrides:
        raise InputError(f"--set {overrides[0]} changes a recipe, and {path} is not a recipe (.yaml): use --option")
    source = _open(data)
    with progress.reporter(Console(stderr=True)) as reporter:
        facts = summarise(source, progress=lambda done: reporter(done, 0, "records")).facts()
        if recipe:
            facts["filtered"] = _filtered(data, reporter)
    facts = {"reader": source.name, **facts, "skipped": source.skipped.count, "doubles": source.doubles.count}
    facts["labels"] = [asdict(counts) for counts in source.labels]
    if json:
        from json import dumps

        from toolkit.terminal import show

        show(dumps(facts, ensure_ascii=False, indent=1))
    else:
        _print(facts, source)


@app.command()
def convert(
    path: Source,
    out: Annotated[Path, typer.Argument(help="Folder to write into.", show_default=False)],
    to: Annotated[Target, typer.Option("--to", help="Format to write.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the data set; default: the folder's.", show_default=False)
    ] = None,
    reader: Name = "auto",
    options: Options = [],  # noqa: B006
    skip_bad: Skip = False,
    debug: Debug = False,
) -> None:
    """Convert playlists to tables of playlists and tracks, or to RecBole's files.

    The tables have all playlists, and all content of the tracks. The command prints the section `data` of a recipe that
    reads them. RecBole's files have the playlists that the default filters of a recipe keep.
    """
    if to != Target.recbole:
        _tables(_open(_data(path, reader, options, skip_bad)), out, cast("Form", to.value))
        return
    import tempfile

    from rich.console import Console

    from toolkit import progress
    from toolkit.catalogue.readers.recbole_atomic import write_atomic
    from toolkit.corpus.build import build

    data = _data(path, reader, options, skip_bad)
    source = _open(data)
    with progress.reporter(Console(stderr=True)) as reporter, tempfile.TemporaryDirectory(prefix="segue-") as work:
        corpus = build(
            source,
            None,
            Path(work) / "corpus",
            filters=data.filters,
            progress=lambda done: reporter(done, 0, "records"),
        )
        written = write_atomic(corpus, out, name or out.resolve().name)
        sizes = f"{len(corpus):,} playlists, {corpus.n_items:,} tracks, {len(corpus.items):,} placements"
    print(f"{written}: {sizes}")


def _recipe_data(path: Path, overrides: list[str], *, ignored: bool) -> Data:
    """Return the section `data` of a recipe. `ignored`: whether options for playlist files were given too."""
    from toolkit.recipe import load

    if ignored:
        raise InputError(f"{path} is a recipe, which has its own options: use --set data.options.KEY=VALUE")
    return load(path, overrides, parameters=True).data


def _filtered(data: Data, reporter: Reporter) -> dict[str, Any]:
    """Return the sizes of the data after the filters of a recipe."""
    from toolkit.catalogue.playlist_summary import sparsity
    from toolkit.files import cache_folder
    from toolkit.ingest.read_data import ingest

    corpus = ingest(data, cache_folder(), reporter=reporter, described=False).corpus
    sizes = {"playlists": len(corpus), "tracks": corpus.n_items, "placements": len(corpus.items)}
    return {**sizes, "sparsity": sparsity(**sizes)}


def _tables(source: Reader, out: Path, form: Form) -> None:
    """Write tables, and print their sizes and the section of a recipe that reads them."""
    from json import dumps

    from rich.console import Console

    from toolkit import progress
    from toolkit.catalogue.converted_tables import convert as convert_tables
    from toolkit.terminal import show

    with progress.reporter(Console(stderr=True)) as reporter:
        done = convert_tables(source, out, form, progress=lambda records: reporter(records, 0, "records"))
        if done.left_out:
            reporter.note(f"{done.left_out:,} playlists without tracks are left out: --to jsonl can hold them")
    print(
        f"{printable(str(out))}: {done.playlists:,} playlists, {done.tracks:,} tracks, {done.placements:,} placements"
    )
    print(f"data:\n  reader: {done.reader}\n  path: {printable(str(done.path.resolve()))}")
    show(f"  options: {dumps(done.options, ensure_ascii=False)}")


def _data(path: Path, reader: str, options: list[str], skip_bad: bool) -> Data:
    from toolkit.recipe import Data
    from toolkit.recipe.yaml_file import pairs

    return Data(reader=reader, path=path, options=pairs(options, "--option"), on_error="skip" if skip_bad else "stop")


def _open(data: Data) -> Reader:
    from toolkit.ingest.read_data import open_reader

    source = open_reader(data)
    source.skip_by = "--skip-bad"
    return source


def _sparse(facts: dict[str, Any]) -> str:
    """Return the sparsity in per cent for a line of sizes."""
    return "" if facts["sparsity"] is None else f" (sparsity {100 * facts['sparsity']:.3f} %)"


def _print(facts: dict[str, Any], source: Reader) -> None:
    from toolkit.ingest.label_leaks import described, is_leak

    lengths = ", ".join(f"{name} {value}" for name, value in facts["lengths"].items())
    print(f"reader        {facts['reader']}")
    print(f"playlists     {facts['playlists']:,} ({facts['titled_playlists']:,} with a title)")
    if facts["repeated_ids"]:
        print(f"  with a repeated id: {facts['repeated_ids']:,}, which are bad records in a run")
    if facts["groups"]:
        print(f"  versions of {facts['groups']:,} playlists")
    if facts["splits"]:
        print(f"  split       {', '.join(f'{printable(name)} {count:,}' for name, count in facts['splits'].items())}")
    print(f"placements    {facts['placements']:,}{_sparse(facts)}")
    if times := facts["times"]:
        print(f"times         {times['first']} to {times['last']} ({times['playlists']:,} playlists)")
    print(f"length        mean {facts['mean_length']}, {lengths}")
    print(
        f"tracks        {facts['tracks']:,} ({facts['tracks_placed']:,} in playlists,"
        f" {facts['tracks_described']:,} described)"
    )
    if kept := facts.get("filtered"):
        print(
            f"after filters {kept['playlists']:,} playlists, {kept['tracks']:,} tracks,"
            f" {kept['placements']:,} placements{_sparse(kept)}"
        )
    for row in facts["fields"]:
        terms = {True: ", training allowed", False: ", training not allowed", None: ""}[row["train_allowed"]]
        origin = f" from {row['source']}{terms}" if row["source"] else ""
        print(f"  {printable(row['field']):<20} {row['tracks']:,} ({100 * row['coverage']:.1f} %){escaped(origin)}")
    for counts in source.labels:
        verdict = ": it labels the playlist, which is a leak" if is_leak(counts) else ""
        print(f"  {printable(described(counts))}{verdict}")
    if facts["skipped"]:
        print(f"left out      {facts['skipped']:,} bad records, such as {printable(source.skipped.examples[0])}")
    if facts["doubles"]:
        print(f"doubles       {facts['doubles']:,} taken once, such as {printable(source.doubles.examples[0])}")

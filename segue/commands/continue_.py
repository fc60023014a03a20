"""Command `segue continue`, which ranks the next tracks of a playlist with a finished run."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from segue.commands.application import Debug


class Format(StrEnum):
    """Output formats."""

    table = "table"
    json = "json"
    csv = "csv"
    m3u = "m3u"
    jspf = "jspf"


Excluded = Annotated[list[str], typer.Option("--exclude", help="Track ids that are never returned.")]


def continue_(
    run_dir: Annotated[Path, typer.Argument(help="A finished run's directory.", show_default=False)],
    tracks: Annotated[
        list[str], typer.Option("--tracks", help="Track ids in playlist order, separated by commas, or several times.")
    ] = [],  # noqa: B006
    title: Annotated[
        str | None, typer.Option(help="The playlist's title, for systems that read titles.", show_default=False)
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of tracks.")] = 20,
    format: Annotated[Format, typer.Option(help="Output format.")] = Format.table,
    system: Annotated[
        str | None, typer.Option(help="The system to use; default: the best on validation.", show_default=False)
    ] = None,
    exclude: Excluded = [],  # noqa: B006
    allow_repeats: Annotated[
        bool, typer.Option("--allow-repeats", help="Allow tracks of the playlist in the result.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Continue a playlist: rank the next tracks. Only the run directory is needed."""
    import sys

    from toolkit.continuation import Continuation
    from toolkit.terminal import printable

    run = Continuation.load(run_dir, system)
    excluded = _split(exclude, run.item_of)
    ranked = run.continue_playlist(_split(tracks, run.item_of), title, k, exclude=excluded, allow_repeats=allow_repeats)
    if format is Format.table:
        from rich.console import Console

        from segue.commands.terminal_tables import continuation_table

        Console(width=None if sys.stdout.isatty() else 160).print(continuation_table(ranked, system=run.system))
    else:
        from toolkit.continuation.playlist_formats import WRITERS
        from toolkit.terminal import show

        show(WRITERS[format.value](ranked, title=title))
    if unknown := [id for id in excluded if id not in run.item_of]:
        named = f"{len(unknown)} of {len(excluded)} excluded tracks are not in the catalogue, such as {unknown[0]!r}"
        print(f"segue: {printable(named)}", file=sys.stderr)
    if system is None and run.for_new_releases:
        names = f"{run.system}, the best system on validation, hardly ranks tracks without training playlists"
        print(f"segue: {printable(f'{names}: add --system {run.for_new_releases} for new releases')}", file=sys.stderr)


def _split(lists: list[str], known: Collection[str]) -> list[str]:
    """Split ids at commas, except at commas inside a known id such as a file name."""
    ids = []
    most = 1 + max(
        (id.count(",") for id in known), default=0
    )  # parts of an id: to try more takes minutes for thousands of tracks
    for text in lists:
        parts = text.split(",")
        while parts:
            joined = (
                length for length in range(min(len(parts), most), 1, -1) if ",".join(parts[:length]).strip() in known
            )
            length = next(joined, 1)
            ids.append(",".join(parts[:length]).strip())
            parts = parts[length:]
    return [track for track in ids if track]

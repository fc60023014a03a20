"""The stage `collect` of a recipe: fills the library with the run's tracks, collects, and lets the run read it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select

from collectors.collect import Collect, collect, prepare, resolve, summary_line
from collectors.library import database, existing, fill, open_library
from toolkit.catalogue.database_schema import FIELDS
from toolkit.files import digest
from toolkit.progress import Reporter


class CollectStage:
    """The stage that `toolkit.pipeline.run.collect_stage` calls."""

    Params = Collect

    @staticmethod
    def run(params: Collect, catalogue: Path, reporter: Reporter) -> tuple[Path | str, Path | None]:
        """Fill the library with the catalogue's tracks, and collect. Returns the places of `where`."""
        prepare(params)
        with open_library(params.library, blobs=params.blobs, new=True) as library:
            fill(library, catalogue)
            for summary in collect(params, library, reporter=reporter):
                reporter.note(summary_line(summary))
        return CollectStage.where(params)

    @staticmethod
    def stamp(params: Collect) -> str:
        """A text that changes whenever values are added to the library; empty without a library."""
        place = database(params.library)
        if isinstance(place, Path) and not place.exists():
            return ""
        newest = select(func.count(), func.max(FIELDS.c.time)).select_from(FIELDS)
        with open_library(place, blobs=params.blobs) as library, library.engine.connect() as connection:
            return digest(list(connection.execute(newest).one()))

    @staticmethod
    def fields(params: Collect) -> set[str] | None:
        """Names of the fields that the library has or will have; None for a library on a database server."""
        place = database(params.library)
        if not isinstance(place, Path):
            return None
        names = {name for spec in params.sources for name in resolve(spec)[1]}
        with existing(params.library, blobs=params.blobs, needed=False) as library:
            if library is not None:
                with library.engine.connect() as connection:
                    names |= {*connection.scalars(select(FIELDS.c.field).distinct())}
        return names

    @staticmethod
    def where(params: Collect) -> tuple[Path | str, Path | None]:
        """The library's database, and the folder of its covers and audio where that is set."""
        return database(params.library), params.blobs

    @staticmethod
    def check(params: Collect) -> None:
        """Check the section before anything runs. Raises `InputError` for an unknown source, field or parameter."""
        for spec in params.sources:
            resolve(spec)

"""Recipe stage `collect`, which fills the library that the run reads."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select

from collectors.collect import Collect, collect, prepare, resolve, summary_line
from collectors.library import database, existing, fill, open_library
from toolkit.catalogue.database_schema import FIELDS
from toolkit.files import digest
from toolkit.progress import Reporter


class CollectStage:
    """Stage that `toolkit.pipeline.run.collect_stage` calls."""

    Params = Collect

    @staticmethod
    def run(params: Collect, catalogue: Path, reporter: Reporter) -> tuple[Path | str, Path | None]:
        """Add the catalogue tracks to the library and collect. Returns the paths like `where`."""
        prepare(params)
        with open_library(params.library, blobs=params.blobs, new=True) as library:
            fill(library, catalogue)
            for summary in collect(params, library, reporter=reporter):
                reporter.note(summary_line(summary))
        return CollectStage.where(params)

    @staticmethod
    def stamp(params: Collect) -> str:
        """Return a text that changes when values are added to the library, or an empty text without a library."""
        place = database(params.library)
        if isinstance(place, Path) and not place.exists():
            return ""
        newest = select(func.count(), func.max(FIELDS.c.time)).select_from(FIELDS)
        with open_library(place, blobs=params.blobs) as library, library.engine.connect() as connection:
            return digest(list(connection.execute(newest).one()))

    @staticmethod
    def fields(params: Collect) -> set[str] | None:
        """Return the names of present and requested fields, or None for a library on a database server."""
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
        """Return the library database and the folder of covers and audio, if set."""
        return database(params.library), params.blobs

    @staticmethod
    def check(params: Collect) -> None:
        """Raise `InputError` for an unknown source, field or parameter."""
        for spec in params.sources:
            resolve(spec)

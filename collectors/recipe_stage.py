"""The stage `collect` of a recipe: the run's tracks go into the library, what it lacks is asked for, and the run reads the library."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select

from collectors.collect import checked, collect, ready, told
from collectors.collect_section import Collect
from collectors.library import database, existing, fill, open_library
from toolkit.catalogue.database_schema import FIELDS
from toolkit.files import digest
from toolkit.progress import Reporter


class CollectStage:
    """What `toolkit.pipeline.run.collect_stage` asks of a stage."""

    Params = Collect

    @staticmethod
    def run(params: Collect, catalogue: Path, reporter: Reporter) -> tuple[Path | str, Path | None]:
        """Fill the library with the catalogue's tracks and collect; where it is, and where its covers are."""
        ready(params)
        with open_library(params.library, blobs=params.blobs, new=True) as library:
            fill(library, catalogue)
            for summary in collect(params, library, reporter=reporter):
                reporter.note(told(summary))
        return CollectStage.where(params)

    @staticmethod
    def stamp(params: Collect) -> str:
        """Differs where the library holds other values than it did."""
        place = database(params.library)
        if isinstance(place, Path) and not place.exists():
            return ""
        with open_library(place, blobs=params.blobs) as library, library.engine.connect() as connection:
            return digest(
                list(connection.execute(select(func.count(), func.max(FIELDS.c.time)).select_from(FIELDS)).one())
            )

    @staticmethod
    def fields(params: Collect) -> set[str] | None:
        """Names of the fields that the library may have: those asked for and those that are there; None for one on a server."""
        place = database(params.library)
        if not isinstance(place, Path):
            return None
        found = {name for spec in params.sources for name in checked(spec)[1]}
        with existing(params.library, blobs=params.blobs, needed=False) as library:
            if library is not None:
                with library.engine.connect() as connection:
                    found |= {*connection.scalars(select(FIELDS.c.field).distinct())}
        return found

    @staticmethod
    def where(params: Collect) -> tuple[Path | str, Path | None]:
        """The library as it is."""
        return database(params.library), params.blobs

    @staticmethod
    def check(params: Collect) -> None:
        """What a recipe can be told before anything runs. Raises `InputError` for an unknown source, field or parameter."""
        for spec in params.sources:
            checked(spec)

"""A library: the catalogue that collecting fills, in a folder or in a database server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select

from collectors.engine.ledger_tables import IMPORTS, METADATA
from toolkit.catalogue.database_schema import (
    ALBUMS,
    ARTISTS,
    FIELDS,
    PLAYLISTS,
    TRACK_ARTISTS,
    TRACKS,
    create_tables,
    upsert,
)
from toolkit.catalogue.store import Catalogue
from toolkit.errors import InputError
from toolkit.files import digest

FILE = "catalogue.sqlite"
BLOBS = "catalogue.blobs"
BATCH = 2_000
NONE = "{} holds no library: fill one with `segue collect RECIPE`, whose data names the tracks"


def database(where: Path | str) -> Path | str:
    """What `Catalogue.open` takes: the file in a folder, a file itself, or a database's URL."""
    if "://" in str(where):
        return str(where)
    path = Path(where)
    return path if path.suffix in (".sqlite", ".db") else path / FILE


def open_library(where: Path | str, *, blobs: Path | None = None, new: bool = False) -> Catalogue:
    """Open a library; new: make it where there is none.

    blobs: folder of covers and audio, needed with a database's URL.
    Raises `InputError` where there is none, or a server's has no folder for covers.
    """
    place = _place(where, blobs)
    if isinstance(place, Path) and not place.exists() and not new:
        raise InputError(NONE.format(where))
    library = Catalogue.open(place, blobs=blobs)
    create_tables(library.engine.begin, METADATA)
    return library


@contextmanager
def existing(where: Path | str, *, blobs: Path | None = None, needed: bool = True) -> Iterator[Catalogue | None]:
    """A library as it is, for who only looks: nothing is made, be it a table. None where there is none, `InputError` if it is needed."""
    place = _place(where, blobs)
    there = not isinstance(place, Path) or place.exists()
    with Catalogue.open(place, blobs=blobs, create=False) if there else nullcontext() as library:
        if library is not None and not library.has(TRACKS):
            library = None
        if library is None and needed:
            raise InputError(NONE.format(where))
        yield library


def _place(where: Path | str, blobs: Path | None) -> Path | str:
    place = database(where)
    if isinstance(place, str) and blobs is None:
        raise InputError("a library in a database server needs a folder for covers and audio: give --blobs DIR")
    return place


def fill(library: Catalogue, origin: Path | str) -> int:
    """Copy tracks, artists, albums, playlists' titles and fields of a catalogue that is not in the library yet; how many tracks.

    What the library knows already is completed, not forgotten.
    """
    origin = Path(origin)
    key = digest([str(origin.resolve()), origin.stat().st_size, origin.stat().st_mtime_ns])
    with library.engine.begin() as connection:
        if connection.scalar(select(IMPORTS.c.key).where(IMPORTS.c.key == key)) is not None:
            return 0
    tracks = 0
    with Catalogue.open(origin) as source, source.engine.connect() as reading:
        for table in (ARTISTS, ALBUMS, TRACKS, TRACK_ARTISTS, PLAYLISTS, FIELDS):
            for rows in _batches(reading, table):
                tracks += len(rows) if table is TRACKS else 0
                with library.engine.begin() as writing:
                    _copy(writing, table, rows, library, source)
    with library.engine.begin() as connection:
        upsert(connection, IMPORTS, [{"key": key, "time": time.time()}])
    return tracks


def missing(library: Catalogue | None, origin: Path | str, table: Table) -> int:
    """How many tracks, artists or albums of a catalogue the library, where there is one, has not got."""
    count = 0
    with Catalogue.open(origin) as source, source.engine.connect() as reading:
        for ids in reading.execution_options(yield_per=BATCH).execute(select(table.c.id)).scalars().partitions():
            held = 0
            if library is not None:
                with library.engine.connect() as connection:
                    held = connection.scalar(select(func.count()).select_from(table).where(table.c.id.in_(ids))) or 0
            count += len(ids) - held
    return count


def _batches(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    result = connection.execution_options(yield_per=BATCH).execute(select(table).order_by(*table.primary_key))
    for part in result.mappings().partitions(BATCH):
        yield [dict(row) for row in part]


def _copy(
    connection: Connection, table: Table, rows: list[dict[str, Any]], library: Catalogue, source: Catalogue
) -> None:
    if table is TRACK_ARTISTS:
        # a batch may begin inside a track's credits: only those that begin here are replaced
        connection.execute(
            delete(table).where(table.c.track_id.in_({row["track_id"] for row in rows if row["position"] == 0}))
        )
        connection.execute(insert(table), rows)
        return
    for row in rows if table is FIELDS else ():
        if row["kind"] == "blob":
            library.blobs.put_file(source.blobs.path(row["value"]))
    upsert(connection, table, rows, merge=table in (TRACKS, ARTISTS, ALBUMS))

"""Library that `segue collect` fills, which is a catalogue in a folder or on a database server."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import Connection, RowMapping, Table, delete, func, insert, make_url, select
from sqlalchemy.exc import ArgumentError

from collectors.engine.ledger import IMPORTS, METADATA
from collectors.engine.servers import trusted_hosts
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
from toolkit.files import digest, file_state
from toolkit.recipe.redaction import redacted

FILE = "catalogue.sqlite"
BATCH = 2_000
"""Rows that are copied at once."""
NO_LIBRARY = "{} must be a library: run `segue collect RECIPE` to create a library with the tracks of the recipe data"


def database(library: Path | str) -> Path | str:
    """Return the argument for `Catalogue.open`, which is a file path or a database URL.

    Raises `InputError` like `check_password`.
    """
    if "://" in str(library):
        check_password(str(library))
        return str(library)
    path = Path(library)
    return path if path.suffix in (".sqlite", ".db") else path / FILE


def check_password(url: str) -> None:
    """Raise `InputError` if the driver would send `PGPASSWORD` to a server that the user did not name.

    The driver sends `PGPASSWORD` to any server, and a recipe, which may be from a stranger, names the server. A server
    on this machine, the one in `PGHOST`, and servers in `SEGUE_TRUSTED_HOSTS` get it.
    """
    if "PGPASSWORD" not in os.environ:
        return
    try:
        parsed = make_url(url)
    except ArgumentError:
        return  # the store reports it
    query = [parsed.query.get(name, ()) for name in ("host", "hostaddr")]
    named = [parsed.host or "", *(part for value in query for part in ([value] if isinstance(value, str) else value))]
    hosts = {host.partition(":")[0] for part in named for host in part.split(",")} - {""}
    known = {"localhost", "127.0.0.1", os.environ.get("PGHOST"), *(host for host, _ in trusted_hosts())}
    for host in sorted(hosts - known):
        if parsed.password is None and not host.startswith("/"):  # a path is a socket of this machine
            raise InputError(
                f"library={redacted(url)!r} must not get the password in PGPASSWORD: if you trust the server, "
                f"export PGHOST={host}, or put the password into ~/.pgpass, which names its server"
            )


def open_library(library: Path | str, *, blobs: Path | None = None, new: bool = False) -> Catalogue:
    """Yield an open library.

    - blobs: folder for covers and audio, required with a database URL.
    - new: create the library if it does not exist.

    Raises `InputError` for a missing library or for a URL without `blobs`.
    """
    place = _place(library, blobs)
    if isinstance(place, Path) and not place.exists() and not new:
        raise InputError(NO_LIBRARY.format(library))
    catalogue = Catalogue.open(place, blobs=blobs)
    create_tables(catalogue.engine.begin, METADATA)
    return catalogue


@contextmanager
def existing(library: Path | str, *, blobs: Path | None = None, needed: bool = True) -> Iterator[Catalogue | None]:
    """Yield a library for reading, without creating any table.

    `needed` raises `InputError` for a missing library. Otherwise None is yielded.
    """
    place = _place(library, blobs)
    exists = not isinstance(place, Path) or place.exists()
    with Catalogue.open(place, blobs=blobs, create=False) if exists else nullcontext() as catalogue:
        if catalogue is not None and not catalogue.has(TRACKS):
            catalogue = None
        if catalogue is None and needed:
            raise InputError(NO_LIBRARY.format(library))
        yield catalogue


def _place(library: Path | str, blobs: Path | None) -> Path | str:
    place = database(library)
    if isinstance(place, str) and blobs is None:
        raise InputError("a library on a database server requires a folder for covers and audio: pass --blobs DIR")
    return place


def fill(library: Catalogue, origin: Path | str) -> int:
    """Copy tracks, artists, albums, playlist titles and fields of a catalogue that was not copied before.

    Existing rows are completed. Returns the number of tracks copied.
    """
    origin = Path(origin)
    key = digest([str(origin.resolve()), file_state(origin)])
    with library.engine.begin() as connection:
        if connection.scalar(select(IMPORTS.c.key).where(IMPORTS.c.key == key)) is not None:
            return 0
    tracks = 0
    with Catalogue.open(origin) as source, source.engine.connect() as reading:
        for table in (ARTISTS, ALBUMS, TRACKS, TRACK_ARTISTS, PLAYLISTS, FIELDS):
            stream = reading.execution_options(yield_per=BATCH).execute(select(table).order_by(*table.primary_key))
            for rows in stream.mappings().partitions(BATCH):
                tracks += len(rows) if table is TRACKS else 0
                with library.engine.begin() as writing:
                    _copy(writing, table, rows, library, source)
    with library.engine.begin() as connection:
        upsert(connection, IMPORTS, [{"key": key, "time": time.time()}])
    return tracks


def missing(library: Catalogue | None, origin: Path | str, table: Table) -> int:
    """Return the number of rows in a catalogue table that the library does not have."""
    n_missing = 0
    with Catalogue.open(origin) as source, source.engine.connect() as reading:
        for ids in reading.execution_options(yield_per=BATCH).execute(select(table.c.id)).scalars().partitions():
            n_missing += len(ids)
            if library is not None:
                with library.engine.connect() as connection:
                    n_missing -= connection.scalar(select(func.count(table.c.id)).where(table.c.id.in_(ids))) or 0
    return n_missing


def _copy(
    connection: Connection, table: Table, rows: Sequence[RowMapping], library: Catalogue, source: Catalogue
) -> None:
    if table is TRACK_ARTISTS:
        # a batch may start inside a track's credits: only those that start here are replaced
        replaced = {row["track_id"] for row in rows if row["position"] == 0}
        connection.execute(delete(table).where(table.c.track_id.in_(replaced)))
        connection.execute(insert(table), [dict(row) for row in rows])
        return
    for row in rows if table is FIELDS else ():
        if row["kind"] == "blob":
            library.blobs.put_file(source.blobs.path(row["value"]))
    upsert(connection, table, [dict(row) for row in rows], merge=table in (TRACKS, ARTISTS, ALBUMS))

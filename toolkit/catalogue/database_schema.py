"""Tables of the catalogue and their upsert statement.

SQLite and PostgreSQL share `INSERT … ON CONFLICT`. Other databases raise `InputError`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache

from sqlalchemy import Boolean, Column, Connection, Float, Index, Integer, MetaData, Table, Text, func
from sqlalchemy.dialects import postgresql, sqlite

Insert = sqlite.Insert | postgresql.Insert
Row = dict[str, object]

METADATA = MetaData()

TRACKS = Table(
    "tracks",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("title", Text),
    Column("album_id", Text, index=True),
    Column("duration_s", Float),
    Column("source", Text),
    Column("train_allowed", Boolean),
)
ARTISTS = Table("artists", METADATA, Column("id", Text, primary_key=True), Column("name", Text))
ALBUMS = Table("albums", METADATA, Column("id", Text, primary_key=True), Column("title", Text))
TRACK_ARTISTS = Table(
    "track_artists",
    METADATA,
    Column("track_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("artist_id", Text, nullable=False),
    Index("ix_track_artists_artist_id", "artist_id"),
)
PLAYLISTS = Table(
    "playlists",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("title", Text),
    Column("description", Text),
    Column("group", Text),
    Column("split", Text),
    Column("length", Integer, nullable=False),
)
FIELDS = Table(
    "fields",
    METADATA,
    # in this order, all values of one field are a range of the key
    Column("field", Text, primary_key=True),
    Column("entity", Text, primary_key=True),
    Column("entity_id", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("time", Float, nullable=False),
    Column("match_score", Float),
    Column("train_allowed", Boolean),
)

DIALECTS: Mapping[str, Callable[[Table], Insert]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""Databases that can hold the catalogue, with their `insert`."""


def upsert(connection: Connection, table: Table, rows: Sequence[Row], *, merge: bool = False) -> None:
    """Insert rows, or replace rows with the same key. With `merge`, nulls keep the old value."""
    if rows:
        connection.execute(_upsert(connection.dialect.name, table, merge), rows)


@lru_cache
def _upsert(dialect: str, table: Table, merge: bool) -> Insert:
    """Return the cached statement, because building takes longer than running it on a row."""
    insert = DIALECTS[dialect](table)
    new = insert.excluded
    columns = [column for column in table.columns if not column.primary_key]
    values = {column.name: func.coalesce(new[column.name], column) if merge else new[column.name] for column in columns}
    return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)


def create_tables(transaction: Callable[[], AbstractContextManager[Connection]], metadata: MetaData = METADATA) -> None:
    """Create missing tables, and retry if another process creates them at the same time."""
    for wait in (0.05, 0.2, 1.0, None):
        try:
            with transaction() as connection:
                metadata.create_all(connection)
            return
        except Exception as error:
            if wait is None or not any(sign in str(error) for sign in ("already exists", "nsp_index")):
                raise
            time.sleep(wait)

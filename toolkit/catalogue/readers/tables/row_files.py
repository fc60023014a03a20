"""Tables that are read row by row: CSV, TSV, JSON Lines, Parquet and SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Protocol

from toolkit.catalogue.image_check import MAX_BYTES
from toolkit.catalogue.readers.open_files import Bad, existing
from toolkit.catalogue.readers.reader import Tally
from toolkit.catalogue.readers.tables import column_types
from toolkit.catalogue.readers.tables.delimited import DelimitedFile, check_column, nearest
from toolkit.catalogue.readers.tables.json_objects import json_objects
from toolkit.catalogue.readers.tables.repeated_tracks import FirstRows
from toolkit.catalogue.readers.tables.track_columns import ContentColumns, Row, TableFile, TrackColumns, TrackParser
from toolkit.catalogue.records import TrackRecord
from toolkit.errors import DataError, InputError

DELIMITED, JSON = (".csv", ".tsv"), (".jsonl", ".ndjson")
PARQUET, SQLITE = (".parquet", ".pq"), (".db", ".sqlite", ".sqlite3")
FIRST = 1000
"""Lines of JSON Lines whose keys are its header."""

BATCH = 256
"""Rows of Parquet or SQLite that are in memory at once. They may hold pictures."""


class RowFile(Protocol):
    """Table file.

    - header: names of the columns.
    - complete: whether there are no other columns.
    """

    path: Path
    header: list[str]
    complete: bool

    def rows(self, columns: Collection[str]) -> Iterator[tuple[str, Row]]:
        """Yield (file and row, cells by column), with at least the given columns."""
        ...


def open_rows(
    table: TableFile,
    folder: Path,
    bad: Bad,
    *,
    delimited: Callable[[Path], DelimitedFile] | None = None,
    lines: bool = False,
) -> RowFile:
    """Return the table, whose format is known by its suffix.

    - folder: folder to which the path of the file is relative.
    - delimited: opens a CSV or TSV file.
    - lines: whether a file with another suffix is JSON Lines; otherwise it is CSV or TSV.

    Raises `InputError` for a missing file, `DataError` for one of another format.
    """
    path = existing(folder / table.file)
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(SQLITE):
        return SqliteRows(path, table.table)
    if table.table is not None:
        raise InputError(
            f"{path} has no tables (option tracks.table={table.table!r}), only an SQLite database (.db) has:"
            " remove the option"
        )
    if name.endswith(PARQUET):
        return ParquetRows(path)
    if name.endswith(JSON) or (lines and not name.endswith(DELIMITED)):
        return JsonRows(path, bad)
    return DelimitedRows(DelimitedFile(path, bad) if delimited is None else delimited(path))


def offered_fields(file: RowFile, columns: TrackColumns) -> set[str]:
    """Return the names of fields of tracks in a table. Keys after the first lines of JSON Lines may be any."""
    return columns.offered(file.header if file.complete else {*file.header, *columns.name_columns()})


def described_tracks(file: RowFile, parser: TrackParser, doubles: Tally) -> Iterator[TrackRecord]:
    """Yield the first record of each track. `doubles` counts others with different values."""
    first = FirstRows(doubles)
    for where, row in named_rows(file, parser.columns, parser.columns.name_columns()):
        yield from first(parser.record(row, where), where)


def check_columns(file: RowFile, columns: ContentColumns) -> None:
    """Raise `InputError` for a missing column. Of JSON Lines, only keys of the first lines are known."""
    if file.complete:
        check_column(file.path, file.header, "tracks.track", columns.track)
        columns.check(file.header, file.path)


def named_rows(file: RowFile, columns: ContentColumns, names: Collection[str] = ()) -> Iterator[tuple[str, Row]]:
    """Yield the rows with all columns that the options name, and `names`. Raises `InputError` for a missing column."""
    check_columns(file, columns)
    missing = set(columns.named_columns())
    for where, row in file.rows({columns.track, *missing, *names}):
        if missing:
            missing -= row.keys()
        yield where, row
    if missing:
        raise InputError(f"{file.path} has no key {min(missing)!r} in any line: correct the options of `tracks`")


class DelimitedRows:
    """CSV or TSV file."""

    complete = True

    def __init__(self, file: DelimitedFile) -> None:
        self.path, self.header, self._file = file.path, file.header, file

    def rows(self, columns: Collection[str]) -> Iterator[tuple[str, Row]]:
        for line, row in self._file.rows():
            yield self._file.where(line), self._file.mapping(row)


class JsonRows:
    """JSON Lines file, whose keys may differ between lines."""

    def __init__(self, path: Path, bad: Bad) -> None:
        self.path, self._bad = path, bad
        first = [row for _, row in islice(json_objects(path, lambda *_: None), FIRST + 1)]
        self.header = list(dict.fromkeys(key for row in first[:FIRST] for key in row))
        self.complete = 0 < len(first) <= FIRST

    def rows(self, columns: Collection[str]) -> Iterator[tuple[str, Row]]:
        yield from json_objects(self.path, self._bad)


class ParquetRows:
    """Parquet file."""

    complete = True

    def __init__(self, path: Path) -> None:
        from toolkit.catalogue.readers.parquet import ParquetPart

        self.path, self._part = path, ParquetPart(path)
        self.header = list(self._part.schema.names)

    def rows(self, columns: Collection[str]) -> Iterator[tuple[str, Row]]:
        names, start = [name for name in self.header if name in columns], 0
        for batch in self._part.batches(names, BATCH):
            batch = column_types.without_views(batch)
            values = [column_types.cells(batch.column(name)) for name in names]
            for number, row in enumerate(zip(*values, strict=True), start=start):
                yield f"{self.path}, row {number}", dict(zip(names, row, strict=True))
            start += batch.num_rows


class SqliteRows:
    """Table of an SQLite database.

    - table: name of the table, required if the database has several.
    """

    complete = True

    def __init__(self, path: Path, table: str | None) -> None:
        self.path = path
        with self._open() as database:
            query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            tables = [name for (name,) in database.execute(query)]
            if table is None and len(tables) != 1:
                raise InputError(f"{path} has {len(tables)} tables: set tracks.table to one of {', '.join(tables)}")
            if table is not None and table not in tables:
                raise InputError(f"{path} has no table {table!r} (option tracks.table): {nearest(table, tables)}")
            self._table = _quoted(table or tables[0])
            self.header = [row[1] for row in database.execute(f"PRAGMA table_info({self._table})")]

    def rows(self, columns: Collection[str]) -> Iterator[tuple[str, Row]]:
        names = [name for name in self.header if name in columns]
        chosen = ", ".join(map(_quoted, names))
        with self._open() as database:
            # names are quoted
            cursor = database.execute(f"SELECT {chosen} FROM {self._table} ORDER BY rowid")  # nosec B608
            number = 0
            while rows := cursor.fetchmany(BATCH):
                for row in rows:
                    yield f"{self.path}, row {number}", dict(zip(names, row, strict=True))
                    number += 1

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the database read-only, without the functions and large values that a hostile file may hold."""
        try:
            with closing(sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True)) as database:
                database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)
                database.execute("PRAGMA trusted_schema = OFF")
                yield database
        except sqlite3.Error as error:
            raise DataError(f"{self.path} must be a valid SQLite database ({error}): download the file again") from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

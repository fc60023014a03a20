"""Records of a large file by key, in a SQLite file that is built once and then only read."""

from __future__ import annotations

import sqlite3
import threading
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

from collectors.source import Source
from toolkit.errors import InputError
from toolkit.files import digest, locked

BATCH = 50_000
"""Rows of one transaction."""

Rows = Iterable[tuple[str, bytes]]


class Index:
    """Values by key, any number for each key, in the order in which they were written.

    Several threads may read at once.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def get(self, key: str) -> list[bytes]:
        """Values of one key; an empty list for an unknown key."""
        query = "SELECT value FROM entries WHERE key = ? ORDER BY rowid"
        with self._lock:
            return [value for (value,) in self._connection.execute(query, (key,))]

    def __len__(self) -> int:
        with self._lock:
            return int(self._connection.execute("SELECT count(*) FROM entries").fetchone()[0])


class IndexedSource(Source):
    """Base class of sources that look up records of files on disk. `index` is open during a run."""

    index: Index

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        with open_index(folder, self.files(), self.rows(), version=self.version()) as self.index:
            yield

    @abstractmethod
    def files(self) -> Sequence[Path]:
        """The files that are indexed."""

    @abstractmethod
    def rows(self) -> Iterator[tuple[str, bytes]]:
        """Key and value of each record of the files."""

    def version(self) -> object:
        """Changes where `rows` reads the same files differently."""
        return 1


@contextmanager
def open_index(folder: Path, files: Sequence[Path], rows: Rows, *, version: object) -> Iterator[Index]:
    """Open the index of `files`, which is built from `rows` unless `folder` has one for these files as they are now.

    - version: changes where `rows` reads the same files differently.

    A build that is killed leaves no index. One process builds it while others wait.
    Raises `InputError` for a file that cannot be read.
    """
    path = folder / f"{_state(files, version)}.sqlite"
    with locked(folder / "index.lock"):
        if not path.is_file():
            _build(path, rows)
        for old in folder.glob("*.sqlite"):
            if old != path:
                old.unlink(missing_ok=True)
    read_only = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(read_only, uri=True, check_same_thread=False)) as connection:
        yield Index(connection)


def _state(files: Sequence[Path], version: object) -> str:
    """The name of the index of these files: a hash of their paths, sizes and times."""
    try:
        return digest(
            [version, *((str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files)]
        )
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from None


def _build(path: Path, rows: Rows) -> None:
    """Write the index to a temporary file and rename it, so an existing index is complete."""
    temporary = path.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    with closing(sqlite3.connect(temporary)) as connection:
        # an interrupted build starts again, so nothing needs to be safe on disk before the rename
        connection.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; CREATE TABLE entries (key TEXT, value BLOB)"
        )
        stream = iter(rows)
        while batch := list(islice(stream, BATCH)):
            with connection:
                connection.executemany("INSERT INTO entries VALUES (?, ?)", batch)
        connection.execute("CREATE INDEX by_key ON entries (key)")
        connection.commit()
    temporary.replace(path)

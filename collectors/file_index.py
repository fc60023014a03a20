"""Read-only SQLite index of records in large files by key."""

from __future__ import annotations

import sqlite3
import stat
import threading
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

from collectors.source import Request, Source
from toolkit.catalogue.normalised_names import VERSION
from toolkit.catalogue.readers.open_files import files_below
from toolkit.errors import InputError
from toolkit.files import digest, file_state, locked, replacing

BATCH = 50_000
"""Rows of one transaction."""

Rows = Iterable[tuple[str, bytes]]


class Index:
    """Index from keys to lists of values in insertion order.

    Reading is thread-safe.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def get(self, key: str) -> list[bytes]:
        """Return the values of a key, or an empty list for an unknown key."""
        query = "SELECT value FROM entries WHERE key = ? ORDER BY rowid"
        with self._lock:
            return [value for (value,) in self._connection.execute(query, (key,))]

    def example(self) -> str:
        """Return the first key, or an empty text for an empty index."""
        with self._lock:
            return str((self._connection.execute("SELECT key FROM entries LIMIT 1").fetchone() or ("",))[0])

    def __len__(self) -> int:
        with self._lock:
            return int(self._connection.execute("SELECT count(*) FROM entries").fetchone()[0])


class IndexedSource(Source):
    """Base class of sources that look up records in files. `index` is open during a run."""

    index: Index

    def state(self) -> str:
        return state_of(self.files(), self.version())

    def remark(self, absent: Request) -> str:
        return f"its files have keys such as {self.index.example()!r}, and the catalogue has {absent.id!r}"

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        with open_index(folder, self.files(), self.rows(), version=self.version()) as self.index:
            yield

    @abstractmethod
    def files(self) -> Sequence[Path]:
        """Return the files to index."""

    @abstractmethod
    def rows(self) -> Iterator[tuple[str, bytes]]:
        """Yield key and value of each record in the files."""

    def version(self) -> object:
        """Return a version, which must change if `rows` reads the same files differently."""
        return 1


@contextmanager
def open_index(folder: Path, files: Sequence[Path], rows: Rows, *, version: object) -> Iterator[Index]:
    """Open the index of `files`, which is built from `rows` unless `folder` has an up-to-date index.

    - version: version that changes if `rows` reads the same files differently.

    An interrupted build leaves no index. One process builds the index while others wait.
    Raises `InputError` if a file cannot be read.
    """
    path = folder / f"{state_of(files, version)}.sqlite"
    with locked(folder / "index.lock"):
        if not path.is_file():
            _build(path, rows)
        for old in folder.glob("*.sqlite"):
            if old != path:
                old.unlink(missing_ok=True)
    read_only = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(read_only, uri=True, check_same_thread=False)) as connection:
        yield Index(connection)


def state_of(files: Sequence[Path], version: object) -> str:
    """Return a hash of paths and states of files, and of all files in folders.

    Raises `InputError` if a file cannot be read, and for a device or pipe.
    """
    try:
        every = [one for file in files for one in (files_below(file) if file.is_dir() else [file])]
        for file in every:
            if not stat.S_ISREG(file.stat().st_mode):
                raise InputError(f"{file} must be a file or folder, not a device or pipe: save the data to a file")
        return digest([version, VERSION, *((str(file.resolve()), file_state(file)) for file in every)])
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}): correct path or permissions") from None


def _build(path: Path, rows: Rows) -> None:
    """Write the index to a temporary file and rename it atomically."""
    with replacing(path) as temporary, closing(sqlite3.connect(temporary)) as connection:
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

"""Records of a large file by key: a SQLite file that is built once and then only read."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

from toolkit.errors import InputError
from toolkit.files import digest, locked

BATCH = 50_000
"""Rows a transaction."""

Rows = Iterable[tuple[str, bytes]]


class Index:
    """Values by key, any number a key, in the order they were written; several threads may ask at once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def get(self, key: str) -> list[bytes]:
        """Values of one key, none where it is unknown."""
        with self._lock:
            found = self._connection.execute(
                "SELECT value FROM entries WHERE key = ? ORDER BY rowid", (key,)
            ).fetchall()
        return [value for (value,) in found]

    def __len__(self) -> int:
        with self._lock:
            return int(self._connection.execute("SELECT count(*) FROM entries").fetchone()[0])


@contextmanager
def opened(folder: Path, files: Sequence[Path], rows: Rows, *, version: object) -> Iterator[Index]:
    """The index of `files`, built from `rows` where `folder` has none of these files as they are now.

    version: of what `rows` makes of a file. A build that is killed leaves no index; one process builds while others wait.
    Raises `InputError` for a file that cannot be read.
    """
    place = folder / f"{_state(files, version)}.sqlite"
    with locked(folder / "index.lock"):
        if not place.is_file():
            _build(place, rows)
        for old in folder.glob("*.sqlite"):
            if old != place:
                old.unlink(missing_ok=True)
    with closing(
        sqlite3.connect(f"{place.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    ) as connection:
        yield Index(connection)


def _state(files: Sequence[Path], version: object) -> str:
    """Name of the index of these files: of their places, sizes and times."""
    try:
        return digest(
            [version, *((str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files)]
        )
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from None


def _build(place: Path, rows: Rows) -> None:
    """Write the index beside its place and rename it: what is there is whole."""
    temporary = place.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    with closing(sqlite3.connect(temporary)) as connection:
        # a build that does not end is begun again: nothing of it needs to be safe before the rename
        connection.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; CREATE TABLE entries (key TEXT, value BLOB)"
        )
        stream = iter(rows)
        while batch := list(islice(stream, BATCH)):
            with connection:
                connection.executemany("INSERT INTO entries VALUES (?, ?)", batch)
        connection.execute("CREATE INDEX by_key ON entries (key)")
        connection.commit()
    temporary.replace(place)

"""Names of tracks on disk, merged from several records of a track."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from toolkit.catalogue.records import TrackRecord
from toolkit.catalogue.table_writers import Kind

NAME_COLUMNS: dict[str, Kind] = {
    "title": "text",
    "artist": "texts",
    "artist_id": "texts",
    "album": "text",
    "album_id": "text",
    "duration": "number",
}
"""Columns of a table of tracks, as readers name them."""

BATCH = 5000
SEPARATORS = (";", "|", " / ", " ;; ", "\t")
"""Texts that may separate artists. The first one that is in no name is used."""

Names = dict[str, object]


class TrackNames:
    """Names of tracks by id, in the order in which tracks first came. A missing name does not replace a name.

    - terms: source and `train_allowed` of the names.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE names (number INTEGER PRIMARY KEY, id TEXT UNIQUE, value BLOB)")
        self._waiting: dict[str, Names] = {}
        self._separators = list(SEPARATORS)
        self.terms: set[tuple[str, bool | None]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add(self, record: TrackRecord) -> None:
        values = {
            "title": record.title,
            "artist": list(record.artists),
            "artist_id": list(record.artist_ids),
            "album": record.album,
            "album_id": record.album_id,
            "duration": record.duration_s,
        }
        named = {name: value for name, value in values.items() if value not in (None, "", [])}
        if named:
            self.terms.add((record.source, record.train_allowed))
            parts = (*record.artists, *record.artist_ids)
            self._separators = [each for each in self._separators if not any(each in part for part in parts)]
        self._waiting[record.id] = self._waiting.get(record.id, {}) | named
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Store the names that wait."""
        rows = []
        for track, names in self._waiting.items():
            known = self._database.execute("SELECT value FROM names WHERE id = ?", (track,)).fetchone()
            merged = names if known is None else msgspec.json.decode(known[0], type=Names) | names
            rows.append((track, msgspec.json.encode(merged)))
        query = "INSERT INTO names (id, value) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET value = excluded.value"
        with self._database:
            self._database.executemany(query, rows)
        self._waiting = {}

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM names").fetchone()[0])

    def batches(self, size: int) -> Iterator[list[tuple[str, Names]]]:
        """Yield ids and names."""
        cursor = self._database.execute("SELECT id, value FROM names ORDER BY number")
        while rows := cursor.fetchmany(size):
            yield [(track, msgspec.json.decode(value, type=Names)) for track, value in rows]

    def separator(self) -> str:
        """Return a text that can separate artists, because no name has it."""
        return next(iter(self._separators), SEPARATORS[0])

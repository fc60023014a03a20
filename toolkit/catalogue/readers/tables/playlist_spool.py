"""Grouping of playlist rows in any order into playlists, with bounded memory.

Placements are written to a temporary SQLite file, which sorts them on disk. Memory holds a few texts per playlist.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Self

from toolkit.catalogue.records import LONGEST_PLAYLIST, PlaylistRecord
from toolkit.errors import DataError, SegueError

_BATCH = 50_000

LARGEST_POSITION = float(2**53)
"""Above it, two whole numbers can be the same float64, which is how positions are sorted."""

POSITION_RULE = "must be a number within ±2^53"

Varied = Callable[[str], None]  # called with a playlist id


@dataclass(frozen=True, slots=True)
class Placement:
    """Row with a track and values of the playlist. No format has both plays and a time. fields: as (name, value)."""

    playlist: str
    track: str
    position: float
    title: str | None = None
    description: str | None = None
    group: str | None = None
    split: str | None = None
    plays: float | None = field(default=None, kw_only=True)
    time: int | None = field(default=None, kw_only=True)
    fields: tuple[tuple[str, str | None], ...] = field(default=(), kw_only=True)


class PlaylistSpool:
    """Spool that collects rows and then yields playlists in order of first appearance.

    Rows with equal positions keep their order. Title, group, split and fields are taken from the first row. Raises
    `SegueError` for a full disk.

    - varied: function that is called with each playlist that has different fields in another row.
    """

    def __init__(self, varied: Varied | None = None) -> None:
        self._varied, self._varying = varied, set[int]()
        self._first: dict[str, Placement] = {}
        self._numbers: dict[str, int] = {}
        self._waiting: list[tuple[int, float, str, float | None]] = []

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="segue-")
        self._db = sqlite3.connect(Path(self._folder.name) / "placements.db", isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-65536"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("CREATE TABLE placements (list INTEGER, position REAL, track TEXT, plays_or_time)")
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        self._folder.cleanup()

    def add(self, placement: Placement) -> None:
        """Add a row."""
        number = self._numbers.setdefault(placement.playlist, len(self._numbers))
        if number == len(self._first):
            self._first[placement.playlist] = placement
        elif placement.fields and placement.fields != self._first[placement.playlist].fields:
            self._varying.add(number)
        value = placement.time if placement.plays is None else placement.plays
        self._waiting.append((number, placement.position, placement.track, value))
        if len(self._waiting) >= _BATCH:
            self._flush()

    def playlists(self) -> Iterator[PlaylistRecord]:
        """Yield playlists with tracks sorted by position."""
        self._flush()
        for number, name in enumerate(self._first):
            if number in self._varying and self._varied is not None:
                self._varied(name)
        try:
            rows = self._db.execute("SELECT list, track, plays_or_time FROM placements ORDER BY list, position, rowid")
            for first, (_, group) in zip(self._first.values(), groupby(rows, key=lambda row: row[0]), strict=True):
                held = list(islice(group, LONGEST_PLAYLIST + 1))
                check_length(first.playlist, len(held))
                plays = None if first.plays is None else [row[2] for row in held]
                times = None if first.time is None else [row[2] for row in held]
                yield playlist(first, [row[1] for row in held], plays, times)
        except sqlite3.Error as error:
            raise SegueError(
                f"playlists cannot be sorted in {tempfile.gettempdir()} ({error}): set TMPDIR to another folder"
            ) from None

    def _flush(self) -> None:
        try:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO placements VALUES (?, ?, ?, ?)", self._waiting)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise SegueError(
                f"playlists cannot be sorted in {tempfile.gettempdir()} ({error}): set TMPDIR to another folder"
            ) from None
        self._waiting.clear()


def collected(placements: Iterable[Placement], varied: Varied | None = None) -> Iterator[PlaylistRecord]:
    """Yield playlists from rows in any order, with a temporary file. varied: as in `PlaylistSpool`."""
    with PlaylistSpool(varied) as spool:
        for placement in placements:
            spool.add(placement)
        yield from spool.playlists()


def adjacent(placements: Iterator[Placement], varied: Varied | None = None) -> Iterator[PlaylistRecord]:
    """Yield playlists from adjacent rows, without a temporary file. varied: as in `PlaylistSpool`."""
    for name, group in groupby(placements, key=lambda placement: placement.playlist):
        rows = sorted(islice(group, LONGEST_PLAYLIST + 1), key=lambda placement: placement.position)
        check_length(name, len(rows))
        times = [row.time for row in rows if row.time is not None]
        if varied is not None and any(row.fields != rows[0].fields for row in rows):
            varied(name)
        yield playlist(rows[0], [row.track for row in rows], times=times or None)


def check_length(name: str, tracks: int) -> None:
    """Raise `DataError` for a playlist that is longer than `LONGEST_PLAYLIST`."""
    if tracks > LONGEST_PLAYLIST:
        raise DataError(f"playlist {name!r} must have at most {LONGEST_PLAYLIST:,} tracks: split the playlist")


def playlist(
    first: Placement, tracks: list[str], plays: list[float] | None = None, times: list[int] | None = None
) -> PlaylistRecord:
    """Return a playlist record of tracks with the playlist values of a row."""
    return PlaylistRecord(
        first.playlist,
        tracks,
        first.title,
        first.description,
        first.group,
        first.split,
        plays=plays,
        times=times,
        fields=dict(first.fields),
    )

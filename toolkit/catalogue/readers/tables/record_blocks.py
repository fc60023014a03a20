"""The columns that a reader may give instead of records, many rows at a time.

`toolkit.corpus.build` takes them where no catalogue is filled: a corpus needs ids, names and the order of playlists, and a column of
a million ids is numbered in the time of a few thousand records. `records` turns them into records again, slowly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from toolkit.catalogue.records import PlaylistRecord, Record, TrackRecord
from toolkit.timestamps import NO_TIME


@dataclass(frozen=True)
class Tracks:
    """n tracks and their names.

    id: string [n], each with its scheme. title, artist, album: string [n], null where one is missing; artist: several joined by ", ".
    table: which of the reader's tables they are from. Of a track that one table describes twice the first row counts; of several
    tables the later one, where it says something.
    """

    id: pa.Array
    title: pa.Array
    artist: pa.Array
    album: pa.Array
    table: int = 0

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True)
class Placements:
    """n placements; those of a playlist may be anywhere, in other blocks too.

    playlist, track: string [n], or string dictionaries of any order; none is null, and tracks carry their scheme.
    position: float64 [n], ascending within a playlist; equal ones, and all where it is None, keep the order of the rows.
    time: int64 [n], seconds since 1970. title, description, group, split: string [n], of which a playlist's first row counts.
    Playlists come in the order of their first row. Every block of a reader has the same columns.
    """

    playlist: pa.Array
    track: pa.Array
    position: np.ndarray | None = None
    time: np.ndarray | None = None
    title: pa.Array | None = None
    description: pa.Array | None = None
    group: pa.Array | None = None
    split: pa.Array | None = None

    def __len__(self) -> int:
        return len(self.track)


@dataclass(frozen=True)
class Playlists:
    """P whole playlists in their order, with n placements.

    id: string [P]. offsets: int64 [P + 1]; playlist p is track[offsets[p]:offsets[p + 1]]. track: as in `Placements`, [n].
    times: int64 [n], of each placement; time: int64 [P], of the playlists where only that is known; `NO_TIME` where it is not.
    title, description, group, split: string [P].
    """

    id: pa.Array
    offsets: np.ndarray
    track: pa.Array
    times: np.ndarray | None = None
    time: np.ndarray | None = None
    title: pa.Array | None = None
    description: pa.Array | None = None
    group: pa.Array | None = None
    split: pa.Array | None = None

    def __len__(self) -> int:
        return len(self.track)


Block = Tracks | Placements | Playlists
"""A reader gives `Placements` or `Playlists`, not both; with either come `Tracks`, where more is known of them than ids."""

ABOUT = ("title", "description", "group", "split")
"""What a block may say of playlists."""


def records(blocks: Iterable[Block]) -> Iterator[Record]:
    """The same as records, all placements kept in memory: tracks with their names alone, then the playlists of `Placements`."""
    described: dict[tuple[int, str], None] = {}
    waiting: dict[str, list[tuple[float, str, int]]] = {}
    about: dict[str, list[str | None]] = {}
    for block in blocks:
        if isinstance(block, Tracks):
            for row in zip(
                *(column.to_pylist() for column in (block.id, block.title, block.artist, block.album)), strict=True
            ):
                if (block.table, row[0]) not in described:
                    described[block.table, row[0]] = None
                    yield TrackRecord(row[0], row[1], (row[2],) if row[2] else (), (), row[3])
        elif isinstance(block, Playlists):
            yield from _whole(block)
        else:
            _wait(block, waiting, about)
    for playlist, rows in waiting.items():
        rows.sort(key=lambda row: row[0])
        timed = rows[0][2] != NO_TIME
        title, description, group, split = about[playlist]
        times = [row[2] for row in rows] if timed else None
        yield PlaylistRecord(playlist, [row[1] for row in rows], title, description, group, split, times=times)


def said(block: Placements | Playlists, n: int) -> list[list[Any]]:
    """What a block says of playlists: `ABOUT`, each of n rows."""
    return [[None] * n if (column := getattr(block, name)) is None else column.to_pylist() for name in ABOUT]


def _whole(block: Playlists) -> Iterator[PlaylistRecord]:
    held, n = block.track.to_pylist(), len(block.id)
    times = None if block.times is None else block.times.tolist()
    moments = [NO_TIME] * n if block.time is None else block.time.tolist()
    rows = zip(block.id.to_pylist(), pairwise(block.offsets.tolist()), moments, *said(block, n), strict=True)
    for playlist, (start, end), moment, title, description, group, split in rows:
        own = None if times is None else times[start:end]
        yield PlaylistRecord(playlist, held[start:end], title, description, group, split, times=own, time=moment)


def _wait(
    block: Placements, waiting: dict[str, list[tuple[float, str, int]]], about: dict[str, list[str | None]]
) -> None:
    n = len(block)
    positions = [0.0] * n if block.position is None else block.position.tolist()
    times = [NO_TIME] * n if block.time is None else block.time.tolist()
    rows = zip(block.playlist.to_pylist(), block.track.to_pylist(), positions, times, *said(block, n), strict=True)
    for playlist, track, position, time, *words in rows:
        about.setdefault(playlist, words)
        waiting.setdefault(playlist, []).append((position, track, time))

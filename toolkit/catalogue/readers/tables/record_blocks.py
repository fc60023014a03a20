"""Column blocks with many rows, used instead of records.

`toolkit.corpus.build` uses them if no catalogue is filled: a corpus needs only ids, names and the order of playlists,
and a column of a million ids is numbered in the time of a few thousand records. `records` converts them to records,
slowly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa

from toolkit.catalogue.readers.tables.playlist_spool import Placement, playlist
from toolkit.catalogue.records import PlaylistRecord, Record, TrackRecord
from toolkit.timestamps import NO_TIME


@dataclass(frozen=True)
class Tracks:
    """Block of n tracks with names.

    - id: string [n], with scheme.
    - title, artist, album: string [n], null if missing. Several artists are joined by ", ".
    - table: number of the table. The first row of a track in a table is used. With several tables, the
      non-null values of the later table are used.
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
    """Block of n playlist entries. A playlist may be spread over several blocks.

    - playlist, track: string [n] or string dictionaries, without nulls. Tracks have a scheme.
    - position: float64 [n], ascending within a playlist. Rows with equal or missing positions keep their order.
    - time: int64 [n], seconds since 1970.
    - title, description, group, split: string [n], taken from the first row of a playlist.
    - fields: string [n] by name, values of the playlist, taken from its first row.

    Playlists are ordered by their first row. All blocks of a reader have the same columns.
    """

    playlist: pa.Array
    track: pa.Array
    position: np.ndarray | None = None
    time: np.ndarray | None = None
    title: pa.Array | None = None
    description: pa.Array | None = None
    group: pa.Array | None = None
    split: pa.Array | None = None
    fields: Mapping[str, pa.Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.track)


@dataclass(frozen=True)
class Playlists:
    """Block of P complete playlists with n entries.

    - id: string [P]. offsets: int64 [P + 1]; playlist p is track[offsets[p]:offsets[p + 1]].
    - track: [n], as in `Placements`.
    - times, time: int64 [n] by entry, or int64 [P] by playlist if only that is known, with `NO_TIME` if unknown.
    - title, description, group, split: string [P]. fields: string [P] by name, values of the playlist.
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
    fields: Mapping[str, pa.Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.track)


Block = Tracks | Placements | Playlists
"""A reader yields `Placements` or `Playlists`, not both, and `Tracks` if it knows more of them than ids."""

ABOUT = ("title", "description", "group", "split")  # columns of a block that describe playlists


def records(blocks: Iterable[Block]) -> Iterator[Record]:
    """Yield the records of blocks, first tracks with names, then playlists, with all entries in memory."""
    described: dict[tuple[int, str], None] = {}
    waiting: dict[str, list[Placement]] = {}
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
            for placement in placement_rows(block):
                waiting.setdefault(placement.playlist, []).append(placement)
    for rows in waiting.values():
        ordered = sorted(rows, key=lambda row: row.position)
        times = [row.time for row in ordered if row.time is not None]
        yield playlist(rows[0], [row.track for row in ordered], times=times or None)


def playlist_columns(block: Placements | Playlists, n: int) -> list[list[str | None]]:
    """Return the columns `ABOUT` of a block, each with n rows."""
    return [[None] * n if (column := getattr(block, name)) is None else column.to_pylist() for name in ABOUT]


def _whole(block: Playlists) -> Iterator[PlaylistRecord]:
    held, n = block.track.to_pylist(), len(block.id)
    times = None if block.times is None else block.times.tolist()
    moments = [NO_TIME] * n if block.time is None else block.time.tolist()
    rows = zip(
        block.id.to_pylist(),
        pairwise(block.offsets.tolist()),
        moments,
        _field_rows(block, n),
        *playlist_columns(block, n),
        strict=True,
    )
    for name, (start, end), moment, fields, title, description, group, split in rows:
        own = None if times is None else times[start:end]
        about = (title, description, group, split)
        yield PlaylistRecord(name, held[start:end], *about, times=own, time=moment, fields=dict(fields))


def _field_rows(block: Placements | Playlists, n: int) -> list[tuple[tuple[str, str | None], ...]]:
    """Return the playlist fields of each row as (name, value)."""
    if not block.fields:
        return [()] * n
    values = zip(*(column.to_pylist() for column in block.fields.values()), strict=True)
    return [tuple(zip(block.fields, row, strict=True)) for row in values]


def placement_rows(block: Placements) -> Iterator[Placement]:
    """Yield the rows of a block."""
    n = len(block)
    positions = [0.0] * n if block.position is None else block.position.tolist()
    times = [None] * n if block.time is None else block.time.tolist()
    rows = zip(
        block.playlist.to_pylist(),
        block.track.to_pylist(),
        positions,
        *playlist_columns(block, n),
        times,
        _field_rows(block, n),
        strict=True,
    )
    for name, track, position, title, description, group, split, time, fields in rows:
        yield Placement(name, track, position, title, description, group, split, time=time, fields=fields)

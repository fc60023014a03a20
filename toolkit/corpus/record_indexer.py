"""Indexing of records, which assigns numbers to tracks and writes playlists to a flat file.

Records wait until they mention some thousand tracks, which are then looked up at once.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import IO, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.records import LARGEST, SMALLEST, NamedPlaylist, Names, PlaylistRecord, Record, TrackRecord
from toolkit.corpus.arrays import FIELD
from toolkit.corpus.interning import Numbering
from toolkit.timestamps import NO_TIME

SPLITS = (None, "train", "valid", "test")
BATCH = 16_384  # mentions of tracks that are looked up at once
SLOT_BITS = 17
MIXER = np.uint64(0x9E3779B97F4A7C15)

R = TypeVar("R", bound=Record | NamedPlaylist)
NameReader = Callable[[Sequence[int]], Names]


class RecordIndexer:
    """Indexer of records. After `through`, the methods return the arrays and tables of a corpus.

    - spool: open file for playlist entries. A repeated track in a playlist is written as −id, because a
      playlist counts as one play.
    - drop_repeats: whether to drop repeated tracks.
    """

    def __init__(self, spool: IO[bytes], reader: Reader, *, drop_repeats: bool) -> None:
        self._numbering = Numbering()
        self._names: dict[str, list[pa.Array]] = {name: [] for name in ("title", "artist", "album")}
        self._later: dict[str, dict[int, str]] = {name: {} for name in self._names}
        self._ids: dict[str, None] = {}
        self._about: dict[str, list[str | None]] = {name: [] for name in ("title", "group", "split")}
        self._fields: dict[str, list[str | None]] = {}
        self._lengths, self._plays, self._playlist_times = array("q"), array("f"), array("q")
        self._times: array[int] | None = None
        self._spool, self._reader, self._drop_repeats = spool, reader, drop_repeats
        self._waiting: list[str] = []
        self._ends: list[int] = []
        self._sources: list[TrackRecord | NameReader | None] = []
        self._waiting_times: list[list[int] | None] = []

    def through(self, records: Iterable[R]) -> Iterator[R]:
        """Yield the records while indexing them. A bad playlist is reported to the reader and dropped."""
        for record in records:
            if isinstance(record, TrackRecord):
                self._wait((record.id,), record)
            else:
                playlist, names = (
                    (record.playlist, record.names) if isinstance(record, NamedPlaylist) else (record, None)
                )
                if not self._is_valid(playlist):
                    continue
                self._ids[playlist.id] = None
                about = (playlist.title, playlist.group, playlist.split)
                for column, value in zip(self._about.values(), about, strict=True):
                    column.append(value)
                for name, value in playlist.fields.items():
                    values = self._fields.setdefault(FIELD + name, [])
                    values.extend([None] * (len(self._ids) - 1 - len(values)))
                    values.append(value)
                self._plays.extend(playlist.plays or ())
                self._playlist_times.append(playlist.time)
                self._waiting_times.append(playlist.times)
                self._wait(playlist.tracks, names)
            yield record
        self._index_waiting()

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self._numbering)

    def placements(self) -> np.ndarray:
        """Return the track numbers, int32 [placements], memory-mapped from the spool."""
        return mapped(self._spool, np.int32)

    def lengths(self) -> np.ndarray:
        """Return the playlist lengths, int64 [playlists]."""
        return np.array(self._lengths, dtype=np.int64)

    def plays(self) -> np.ndarray | None:
        """Return the play counts, float32 [placements], if the reader has counts."""
        return np.array(self._plays, np.float32) if self._reader.counts else None

    def times(self) -> np.ndarray | None:
        """Return the times, int64 [placements], if any playlist has times."""
        return None if self._times is None else np.frombuffer(self._times, np.int64)

    def tracks(self) -> pa.Table:
        """Return a table with id, title, artist and album by track number."""
        return named_tracks(self._numbering.texts(), self._names, self._later)

    def playlists(self) -> pa.Table:
        """Return a table with id, title, group, split and fields of playlists, and the time if any is known."""
        fields = {name: [*values, *[None] * (len(self._ids) - len(values))] for name, values in self._fields.items()}
        columns = {"id": list(self._ids), **self._about, **fields}
        table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
        return with_times(table, np.frombuffer(self._playlist_times, np.int64))

    def _is_valid(self, record: PlaylistRecord) -> bool:
        if record.id in self._ids:
            why = "the id must be unique"
        elif record.split not in SPLITS:
            why = f"split {record.split!r} must be train, valid or test"
        elif not all(record.tracks):
            why = "track ids must not be empty"
        elif record.plays is not None and (
            len(record.plays) != len(record.tracks) or len(set(record.tracks)) != len(record.tracks)
        ):
            why = "tracks must be unique in a playlist with plays"
        elif record.plays is not None and not all(SMALLEST <= plays <= LARGEST for plays in record.plays):
            why = f"plays must be numbers above 0 and within {LARGEST:.1e}, the largest float32"
        elif record.times is not None and len(record.times) != len(record.tracks):
            why = f"has {len(record.times)} times and must have {len(record.tracks)} like the tracks"
        else:
            return True
        self._reader.bad(f"{self._reader.path}, playlist {record.id!r}", why)
        return False

    def _wait(self, tracks: Sequence[str], source: TrackRecord | NameReader | None) -> None:
        self._waiting.extend(tracks)
        self._ends.append(len(self._waiting))
        self._sources.append(source)
        if len(self._waiting) >= BATCH:
            self._index_waiting()

    def _index_waiting(self) -> None:
        """Index the waiting records and store names and entries."""
        numbers, fresh = self._numbering.numbers(self._waiting)
        ends = np.array(self._ends, np.int64)
        lengths = np.diff(ends, prepend=0)
        owners = np.searchsorted(ends, fresh, side="right")
        self._name(fresh, owners, ends - lengths)
        self._rename(numbers, ends, owners)
        played = np.array([not isinstance(source, TrackRecord) for source in self._sources], bool)
        self._place(numbers[np.repeat(played, lengths)], lengths[played], self._times_of_waiting(lengths[played]))
        self._waiting, self._ends, self._sources, self._waiting_times = [], [], [], []

    def _name(self, fresh: np.ndarray, owners: np.ndarray, starts: np.ndarray) -> None:
        """Store names of tracks that are new at the indices `fresh`, from the records `owners`."""
        names: tuple[list[str | None], ...] = ([], [], [])
        bounds = [*np.flatnonzero(np.diff(owners, prepend=-1)).tolist(), len(fresh)]
        places, mentioned = (fresh - starts[owners]).tolist(), owners.tolist()
        for start, end in pairwise(bounds):
            source = self._sources[mentioned[start]]
            if isinstance(source, TrackRecord):
                values: Iterable[Sequence[str | None]] = ((name,) for name in _names(source))
            else:
                values = ([None] * (end - start),) * 3 if source is None else source(places[start:end])
            for new, more in zip(names, values, strict=True):
                new.extend(more)
        for parts, new in zip(self._names.values(), names, strict=True):
            parts.append(pa.array(new, pa.string()))

    def _rename(self, numbers: np.ndarray, ends: np.ndarray, owners: np.ndarray) -> None:
        """Store names from later records of known tracks. A missing name does not replace a name."""
        first = set(owners.tolist())
        for owner, source in enumerate(self._sources):
            if isinstance(source, TrackRecord) and owner not in first:
                for later, name in zip(self._later.values(), _names(source), strict=True):
                    if name:
                        later[int(numbers[ends[owner] - 1])] = name

    def _times_of_waiting(self, lengths: np.ndarray) -> np.ndarray | None:
        """Return the times of the waiting entries, int64, or None if no playlist has times so far."""
        if self._times is None:
            if not any(self._waiting_times):
                return None
            self._times = array("q", [NO_TIME]) * sum(self._lengths)
        waiting = zip(self._waiting_times, lengths.tolist(), strict=True)
        filled = ([NO_TIME] * length if times is None else times for times, length in waiting)
        return np.fromiter(chain.from_iterable(filled), np.int64, int(lengths.sum()))

    def _place(self, numbers: np.ndarray, lengths: np.ndarray, times: np.ndarray | None) -> None:
        rows = np.repeat(np.arange(len(lengths)), lengths)
        numbers, lengths, times = marked(repeats(rows, numbers), numbers, lengths, times, drop=self._drop_repeats)
        self._spool.write(numbers.data)
        self._lengths.extend(lengths.tolist())
        if self._times is not None and times is not None:
            self._times.frombytes(times.tobytes())


def _names(record: TrackRecord) -> tuple[str | None, str | None, str | None]:
    artists = ", ".join(dict.fromkeys(name for name in record.artists if name))
    return record.title or None, artists or None, record.album or None


def named_tracks(ids: pa.ChunkedArray, parts: dict[str, list[pa.Array]], later: dict[str, dict[int, str]]) -> pa.Table:
    """Return ids and names of tracks by number; `later` has replacements by number from 1."""
    table = pa.table({"id": ids} | {name: pa.chunked_array(arrays, pa.string()) for name, arrays in parts.items()})
    for place, (name, replaced) in enumerate(later.items(), start=1):
        if replaced:
            numbers = sorted(replaced)
            mask = np.zeros(len(table), bool)
            mask[np.array(numbers) - 1] = True
            new = pa.array([replaced[number] for number in numbers], pa.string())
            table = table.set_column(place, name, pc.replace_with_mask(table[name], pa.array(mask), new))
    return table


def with_times(playlists: pa.Table, times: np.ndarray) -> pa.Table:
    """Return the table with a column of times, int64 [P], if any time is known."""
    known = times != NO_TIME
    return playlists.append_column("time", pa.array(times, mask=~known)) if known.any() else playlists


def marked(
    places: np.ndarray, items: np.ndarray, lengths: np.ndarray, times: np.ndarray | None, *, drop: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return items, lengths and times of playlists, with −id for repetitions or, with `drop`, without them."""
    if not (drop and len(places)):
        items[places] *= -1
        return items, lengths, times
    kept = np.ones(len(items), bool)
    kept[places] = False
    owners = np.repeat(np.arange(len(lengths)), lengths)[kept]
    return items[kept], np.bincount(owners, minlength=len(lengths)), None if times is None else times[kept]


def mapped(file: IO[bytes], kind: type[np.generic]) -> np.ndarray:
    """Return the numbers in an open file, memory-mapped."""
    file.flush()
    return np.memmap(file, dtype=kind, mode="r") if file.seek(0, 2) else np.zeros(0, kind)


def repeats(rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the indices of numbers that are repeated in a row, int64."""
    pairs, places = rows << 32 | numbers, np.arange(len(rows))
    # equal pairs share a slot; nine of ten pairs share none and need no sorting
    slots = (pairs.view(np.uint64) * MIXER >> np.uint64(64 - SLOT_BITS)).view(np.int64)
    last = np.empty(1 << SLOT_BITS, np.int32)
    last[slots] = places
    shared = np.zeros(1 << SLOT_BITS, bool)
    shared[slots[last.take(slots) != places]] = True
    order = np.flatnonzero(shared.take(slots))
    order = order[np.argsort(pairs[order], kind="stable")]
    return order[1:][pairs[order[1:]] == pairs[order[:-1]]]

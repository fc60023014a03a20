"""Records on their way into a corpus: playlists as numbers in a flat file, tracks as numbers with their names.

Records wait until they name some thousand tracks, which are then looked up at once.
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
from toolkit.catalogue.records import NamedPlaylist, Names, PlaylistRecord, Record, TrackRecord
from toolkit.corpus.interning import Numbering
from toolkit.timestamps import NO_TIME

SPLITS = (None, "train", "valid", "test")
BATCH = 16_384
"""Mentions of tracks that are looked up at once."""
SLOT_BITS = 17
MIXER = np.uint64(0x9E3779B97F4A7C15)

R = TypeVar("R", bound=Record | NamedPlaylist)
Teller = Callable[[Sequence[int]], Names]


class Intake:
    """Takes records on their way and spools the placements; `placements`, `lengths` and the tables are asked for at the end.

    A track that its playlist has already held is spooled as −id: plays are
    counted once a playlist, and one file tells both.
    """

    def __init__(self, spool: IO[bytes], reader: Reader, *, drop_repeats: bool) -> None:
        self._numbering = Numbering()
        self._names = {name: _Column() for name in ("title", "artist", "album")}
        self._titles: list[str | None] = []
        self._groups: list[str | None] = []
        self._splits: list[str | None] = []
        self._playlists: dict[str, None] = {}
        self._lengths = array("q")
        self._plays = array("f")
        self._moments = array("q")
        self._times: array[int] | None = None
        self._told: list[list[int] | None] = []
        self._spool = spool
        self._reader = reader
        self._drop_repeats = drop_repeats
        self._waiting: list[str] = []
        self._ends: list[int] = []
        self._sources: list[TrackRecord | Teller | None] = []

    def through(self, records: Iterable[R]) -> Iterator[R]:
        """Pass records on; a bad playlist is reported to the reader and left out."""
        for record in records:
            if isinstance(record, TrackRecord):
                self._wait((record.id,), record)
            else:
                playlist, names = (
                    (record.playlist, record.names) if isinstance(record, NamedPlaylist) else (record, None)
                )
                if not self._fine(playlist):
                    continue
                self._playlists[playlist.id] = None
                self._titles.append(playlist.title)
                self._groups.append(playlist.group)
                self._splits.append(playlist.split)
                self._plays.extend(playlist.plays or ())
                self._moments.append(playlist.time)
                self._told.append(playlist.times)
                self._wait(playlist.tracks, names)
            yield record
        self._take()

    def __len__(self) -> int:
        """Tracks."""
        return len(self._numbering)

    def placements(self) -> np.ndarray:
        """int32 [placements], mapped from the spool."""
        self._spool.flush()
        if not sum(self._lengths):
            return np.zeros(0, np.int32)
        return np.memmap(self._spool, dtype=np.int32, mode="r")

    def lengths(self) -> np.ndarray:
        """int64 [playlists]."""
        return np.array(self._lengths, dtype=np.int64)

    def plays(self) -> np.ndarray | None:
        """float32 [placements], where the reader counts."""
        return np.array(self._plays, np.float32) if self._reader.counts else None

    def times(self) -> np.ndarray | None:
        """int64 [placements], where a playlist told any."""
        return None if self._times is None else np.frombuffer(self._times, np.int64)

    def tracks(self) -> pa.Table:
        """id, title, artist and album by number."""
        return pa.table(
            {"id": self._numbering.texts(), **{name: column.whole() for name, column in self._names.items()}}
        )

    def playlists(self) -> pa.Table:
        """id, title, group and split in the order of the file, and the time where any playlist has one."""
        columns = {"id": list(self._playlists), "title": self._titles, "group": self._groups, "split": self._splits}
        table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
        moments = np.frombuffer(self._moments, np.int64)
        known = moments != NO_TIME
        return table.append_column("time", pa.array(moments, mask=~known)) if known.any() else table

    def _fine(self, record: PlaylistRecord) -> bool:
        if record.id in self._playlists:
            why = "its id came before"
        elif record.split not in SPLITS:
            why = f"split {record.split!r} must be train, valid or test"
        elif not all(record.tracks):
            why = "a track has an empty id"
        elif record.plays is not None and (
            len(record.plays) != len(record.tracks) or len(set(record.tracks)) != len(record.tracks)
        ):
            why = "plays are of tracks that stand there once each"
        elif record.times is not None and len(record.times) != len(record.tracks):
            why = f"{len(record.times)} times are told of {len(record.tracks)} tracks"
        else:
            return True
        self._reader.bad(f"{self._reader.path}, playlist {record.id!r}", why)
        return False

    def _wait(self, tracks: Sequence[str], source: TrackRecord | Teller | None) -> None:
        self._waiting.extend(tracks)
        self._ends.append(len(self._waiting))
        self._sources.append(source)
        if len(self._waiting) >= BATCH:
            self._take()

    def _take(self) -> None:
        """Number what waits; its names and placements go where they are kept."""
        numbers, fresh = self._numbering.numbers(self._waiting)
        ends = np.array(self._ends, np.int64)
        lengths = np.diff(ends, prepend=0)
        owners = np.searchsorted(ends, fresh, side="right")
        self._name(fresh, owners, ends - lengths)
        self._rename(numbers, ends, owners)
        played = np.array([not isinstance(source, TrackRecord) for source in self._sources], bool)
        self._place(numbers[np.repeat(played, lengths)], lengths[played], self._waiting_times(lengths[played]))
        self._waiting, self._ends, self._sources, self._told = [], [], [], []

    def _name(self, fresh: np.ndarray, owners: np.ndarray, starts: np.ndarray) -> None:
        """Names of the tracks first mentioned at the places `fresh` of the waiting, by the records `owners` that mention them."""
        names: tuple[list[str | None], ...] = ([], [], [])
        bounds = [*np.flatnonzero(np.diff(owners, prepend=-1)).tolist(), len(fresh)]
        places, mentioned = (fresh - starts[owners]).tolist(), owners.tolist()
        for start, end in pairwise(bounds):
            source = self._sources[mentioned[start]]
            if isinstance(source, TrackRecord):
                title, artist, album = _names(source)
                told: Names = [title], [artist], [album]
            elif source is None:
                nothing: list[str | None] = [None] * (end - start)
                told = nothing, nothing, nothing
            else:
                told = source(places[start:end])
            for new, some in zip(names, told, strict=True):
                new.extend(some)
        for column, new in zip(self._names.values(), names, strict=True):
            column.add(new)

    def _rename(self, numbers: np.ndarray, ends: np.ndarray, owners: np.ndarray) -> None:
        """What records say of tracks mentioned before them; what they leave out stays as an earlier one said."""
        first = set(owners.tolist())
        for owner, source in enumerate(self._sources):
            if isinstance(source, TrackRecord) and owner not in first:
                for column, name in zip(self._names.values(), _names(source), strict=True):
                    if name:
                        column.later[int(numbers[ends[owner] - 1])] = name

    def _waiting_times(self, lengths: np.ndarray) -> np.ndarray | None:
        """Times of the placements that wait, int64; None as long as no playlist told any."""
        if self._times is None:
            if not any(self._told):
                return None
            self._times = array("q", [NO_TIME]) * sum(self._lengths)
        each = [
            told if told is not None else [NO_TIME] * length
            for told, length in zip(self._told, lengths.tolist(), strict=True)
        ]
        return np.fromiter(chain.from_iterable(each), np.int64, int(lengths.sum()))

    def _place(self, numbers: np.ndarray, lengths: np.ndarray, times: np.ndarray | None) -> None:
        rows = np.repeat(np.arange(len(lengths)), lengths)
        again = repeats(rows, numbers)
        if self._drop_repeats and len(again):
            kept = np.ones(len(numbers), bool)
            kept[again] = False
            numbers, lengths = numbers[kept], np.bincount(rows[kept], minlength=len(lengths))
            times = None if times is None else times[kept]
        else:
            numbers[again] *= -1
        self._spool.write(numbers.data)
        self._lengths.extend(lengths.tolist())
        if self._times is not None and times is not None:
            self._times.frombytes(times.tobytes())


class _Column:
    """One name of every track, in the order of their numbers. later: by number, what replaces it."""

    def __init__(self) -> None:
        self.later: dict[int, str] = {}
        self._parts: list[pa.Array] = []

    def add(self, names: Sequence[str | None]) -> None:
        self._parts.append(pa.array(names, pa.string()))

    def whole(self) -> pa.ChunkedArray:
        names = pa.chunked_array(self._parts, pa.string())
        if not self.later:
            return names
        numbers = sorted(self.later)
        replaced = np.zeros(len(names), bool)
        replaced[np.array(numbers) - 1] = True
        return pc.replace_with_mask(
            names, pa.array(replaced), pa.array([self.later[number] for number in numbers], pa.string())
        )


def _names(record: TrackRecord) -> tuple[str | None, str | None, str | None]:
    return record.title or None, _joined(record.artists), record.album or None


def _joined(names: Sequence[str]) -> str | None:
    return ", ".join(dict.fromkeys(name for name in names if name)) or None


def repeats(rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Places of what its row held before: int64, none in most batches of short lists."""
    pairs, places = rows << 32 | numbers, np.arange(len(rows))
    # equal pairs share a slot: those that share none, nine of ten, need no sorting
    slots = (pairs.view(np.uint64) * MIXER >> np.uint64(64 - SLOT_BITS)).view(np.int64)
    last = np.empty(1 << SLOT_BITS, np.int32)
    last[slots] = places
    shared = np.zeros(1 << SLOT_BITS, bool)
    shared[slots[last.take(slots) != places]] = True
    order = np.flatnonzero(shared.take(slots))
    order = order[np.argsort(pairs[order], kind="stable")]
    return order[1:][pairs[order[1:]] == pairs[order[:-1]]]

"""Columns on their way into a corpus: what `Intake` does with records, a block of a table at a time.

A block's ids are numbered once a value, not once a row. Placements wait in a file until all are there; playlists then come out in the
order of their first row, and tracks that nothing describes are numbered as those playlists mention them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.readers.tables.column_types import first_places
from toolkit.catalogue.readers.tables.record_blocks import Block, Placements, Playlists, Tracks
from toolkit.corpus.intake import SPLITS, repeats
from toolkit.corpus.interning import Numbering
from toolkit.corpus.placement_spool import PlacementSpool
from toolkit.timestamps import NO_TIME

AT_ONCE = 1 << 15
"""Placements that are searched for repeats at once."""
NAMES = ("title", "artist", "album")
ABOUT = ("title", "group", "split")


class ColumnIntake:
    """Takes blocks; the arrays and tables are there once `through` is exhausted. work: a folder for what waits."""

    def __init__(self, work: Path, reader: Reader, *, drop_repeats: bool) -> None:
        self._work = work
        self._reader = reader
        self._drop_repeats = drop_repeats
        self._tracks = _Numbered(NAMES)
        self._lists = _Numbered(ABOUT)
        self._final = np.zeros(1, np.int32)
        """Of each track number, the one in the corpus; 0 where it has none yet."""
        self._count = 0
        self._as_mentioned = True
        """Whether every number that is settled is the one of the first mention."""
        self._later: dict[str, dict[int, str]] = {name: {} for name in NAMES}
        self._said: dict[int, np.ndarray] = {}
        self._spool: PlacementSpool | None = None
        self._about: list[pa.Table] = []
        self._taken = np.zeros(1, bool)
        """Of each playlist number, whether a playlist of that id was kept."""
        self._lengths: list[np.ndarray] = []
        self._moments: list[np.ndarray] = []
        self._items = (work / "items").open("w+b")
        self._times = (work / "times").open("w+b")
        self._timed = False

    def through(self, blocks: Iterable[Block]) -> Iterator[int]:
        """Take every block; the rows so far, after each."""
        done = 0
        for block in blocks:
            if isinstance(block, Tracks):
                self._describe(block)
            elif isinstance(block, Placements):
                self._place(block)
            else:
                self._take(block)
            done += len(block)
            del block
            pa.default_memory_pool().release_unused()  # it keeps some 100 MB otherwise
            yield done
        self._lists.close()
        self._tracks.close()
        if self._spool is not None:
            about = pa.table({"id": self._lists.texts(), **self._lists.columns()})
            wrong = self._refused(np.arange(1, about.num_rows + 1), about)
            if self._spool.adjacent and self._spool.ordered and not wrong.any():
                self._settle(np.arange(1, len(self._tracks) + 1))  # they were numbered in the playlists' own order
            for stretch in self._spool.stretches():
                which = slice(stretch.first, stretch.first + len(stretch.lengths))
                self._emit(about[which], stretch.lengths, stretch.tracks, stretch.times, wrong[which])

    def __len__(self) -> int:
        """Tracks."""
        return self._count

    def placements(self) -> np.ndarray:
        """int32 [placements], mapped."""
        return _mapped(self._items, np.int32)

    def lengths(self) -> np.ndarray:
        """int64 [playlists]."""
        return np.concatenate([np.zeros(0, np.int64), *self._lengths])

    def plays(self) -> None:
        """None: blocks have no plays."""
        return

    def times(self) -> np.ndarray | None:
        """int64 [placements], mapped, where any is known."""
        return _mapped(self._times, np.int64) if self._timed else None

    def tracks(self) -> pa.Table:
        """id, title, artist and album by number."""
        columns = {"id": self._tracks.texts(), **self._tracks.columns()}
        for name, later in self._later.items():
            columns[name] = _replaced(columns[name], later)
        table = pa.table(columns)
        if self._as_mentioned and self._count == len(self._tracks):
            return table
        final = self._final[1 : len(self._tracks) + 1]
        there = np.flatnonzero(final)
        return table.take(pa.array(there[np.argsort(final[there])]))

    def playlists(self) -> pa.Table:
        """id, title, group and split, and the time where any playlist has one."""
        none = pa.table({name: pa.array([], pa.string()) for name in ("id", *ABOUT)})
        table = pa.concat_tables([none, *self._about])
        moments = np.concatenate([np.zeros(0, np.int64), *self._moments])
        known = moments != NO_TIME
        return table.append_column("time", pa.array(moments, mask=~known)) if known.any() else table

    def _describe(self, block: Tracks) -> None:
        """Number tracks with their names: of each table the first row of a track counts, of several tables the later one."""
        numbers, fresh = self._tracks.numbers(block.id, {name: getattr(block, name) for name in NAMES})
        self._settle(numbers)
        said = self._said[block.table] = _grown(self._said.get(block.table), len(self._tracks) + 1, bool)
        _, first = np.unique(numbers, return_index=True)
        again = np.setdiff1d(first[~said[numbers[first]]], fresh)
        said[numbers] = True
        for row in again.tolist():
            for name in NAMES:
                if text := getattr(block, name)[row].as_py():
                    self._later[name][int(numbers[row])] = text

    def _place(self, block: Placements) -> None:
        tracks, _ = self._tracks.numbers(block.track)
        lists, _ = self._lists.numbers(block.playlist, {name: getattr(block, name) for name in ABOUT})
        if self._spool is None:
            if len(self._about):
                raise TypeError(
                    f"{type(self._reader).__name__}.blocks gave Placements after Playlists: a reader gives one of the two"
                )
            self._spool = PlacementSpool(self._work)
        self._spool.add(lists - 1, tracks, block.position, block.time)

    def _take(self, block: Playlists) -> None:
        """Whole playlists go where they are kept at once."""
        if self._spool is not None:
            raise TypeError(
                f"{type(self._reader).__name__}.blocks gave Playlists after Placements: a reader gives one of the two"
            )
        lists, _ = self._lists.numbers(block.id)
        about = pa.table([block.id.cast(pa.string()), *(_column(block, name) for name in ABOUT)], ["id", *ABOUT])
        wrong = self._refused(lists, about)
        tracks, _ = self._tracks.numbers(block.track)
        moments = np.full(len(lists), NO_TIME) if block.time is None else block.time
        self._emit(about, np.diff(block.offsets), tracks, block.times, wrong, moments)

    def _refused(self, lists: np.ndarray, about: pa.Table) -> np.ndarray:
        """bool: which of some playlists have the id of one that was taken, or a split that is none. They are reported."""
        self._taken = _grown(self._taken, len(self._lists) + 1, bool)
        split = about["split"]
        odd = np.asarray(
            pc.and_(split.is_valid(), pc.invert(pc.is_in(split, value_set=pa.array(SPLITS[1:])))).to_numpy(), bool
        )
        again = self._taken[lists] | (len(np.unique(lists)) < len(lists))
        wrong = np.zeros(len(lists), bool)
        for row in np.flatnonzero(odd | again).tolist():
            if self._taken[lists[row]]:
                self._bad(about["id"][row].as_py(), "its id came before")
            elif odd[row]:
                self._bad(about["id"][row].as_py(), f"split {split[row].as_py()!r} must be train, valid or test")
            else:
                self._taken[lists[row]] = True
                continue
            wrong[row] = True
        self._taken[lists[~wrong]] = True
        return wrong

    def _bad(self, playlist: str, why: str) -> None:
        self._reader.bad(f"{self._reader.path}, playlist {playlist!r}", why)

    def _emit(
        self,
        about: pa.Table,
        lengths: np.ndarray,
        tracks: np.ndarray,
        times: np.ndarray | None,
        wrong: np.ndarray,
        moments: np.ndarray | None = None,
    ) -> None:
        """Write whole playlists, but for those that are wrong, under the tracks' final numbers; a track that its playlist has held is
        left out, or written as −number."""
        if wrong.any():
            rows = np.repeat(~wrong, lengths)
            tracks, times = tracks[rows], None if times is None else times[rows]
            about, lengths = about.filter(pa.array(~wrong)), lengths[~wrong]
            moments = None if moments is None else moments[~wrong]
        self._settle(tracks)
        items = tracks if self._as_mentioned else self._final[tracks]
        again = _repeats_of(items, lengths)
        if self._drop_repeats and len(again):
            kept = np.ones(len(items), bool)
            kept[again] = False
            owners = np.repeat(np.arange(len(lengths)), lengths)
            items, times = items[kept], None if times is None else times[kept]
            lengths = np.bincount(owners[kept], minlength=len(lengths))
        else:
            items[again] *= -1
        self._items.write(items.data)
        if times is not None:
            self._timed = True
            self._times.write(np.ascontiguousarray(times, np.int64).data)
        self._about.append(about)
        self._lengths.append(np.asarray(lengths, np.int64))
        self._moments.append(np.full(len(lengths), NO_TIME) if moments is None else moments)

    def _settle(self, tracks: np.ndarray) -> None:
        """Give tracks that have none yet their final numbers, in the order of mention."""
        self._final = _grown(self._final, len(self._tracks) + 1, np.int32)
        if self._count == len(self._tracks):
            return
        unsettled = tracks[self._final[tracks] == 0]
        if len(unsettled):
            each, first = np.unique(unsettled, return_index=True)
            each = each[np.argsort(first)]
            self._as_mentioned &= bool(each[0] == self._count + 1 and (np.diff(each) == 1).all())
            self._final[each] = np.arange(self._count + 1, self._count + 1 + len(each), dtype=np.int32)
            self._count += len(each)


class _Numbered:
    """Numbers of ids, and columns of texts by number."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._numbering = Numbering()
        self._texts: pa.ChunkedArray | None = None
        self._parts: dict[str, list[pa.Array]] = {name: [] for name in names}

    def __len__(self) -> int:
        return len(self._numbering) if self._texts is None else len(self._texts)

    def close(self) -> None:
        """No more ids come: their texts stay, and what finds their numbers goes."""
        self._texts, self._numbering = self._numbering.texts(), Numbering()

    def texts(self) -> pa.ChunkedArray:
        """The ids by number."""
        return self._numbering.texts() if self._texts is None else self._texts

    def numbers(self, ids: pa.Array, about: dict[str, pa.Array | None] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Number of each id, int32 [n], and the rows where new ones come first, int64, ascending. about: the columns' rows."""
        codes, values, first = _coded(ids)
        of_values, fresh = self._numbering.numbers(values)
        rows = fresh if first is None else first[fresh]
        for name, parts in self._parts.items():
            column = None if about is None else about[name]
            if len(rows):
                parts.append(pa.nulls(len(rows), pa.string()) if column is None else column.take(pa.array(rows)))
        return (of_values if codes is None else of_values[codes]), rows

    def columns(self) -> dict[str, pa.ChunkedArray]:
        return {name: pa.chunked_array(parts, pa.string()) for name, parts in self._parts.items()}


def _column(block: Playlists, name: str) -> pa.Array:
    column: pa.Array | None = getattr(block, name)
    return pa.nulls(len(block.id), pa.string()) if column is None else column


def _coded(ids: pa.Array) -> tuple[np.ndarray | None, pa.Array, np.ndarray | None]:
    """An id column as codes int32 [n], the values they are of, in the order of their first row, and those rows. Both None: one each."""
    if not isinstance(ids, pa.DictionaryArray):
        ids = ids.dictionary_encode()
    codes, n = ids.indices.to_numpy(zero_copy_only=False), len(ids)
    first = first_places(codes, len(ids.dictionary))
    if (np.diff(first) > 0).all() and (not len(first) or first[-1] < n):
        return codes, ids.dictionary, first
    new = np.zeros(n, bool)
    new[first[first < n]] = True
    rows = np.flatnonzero(new)
    order, place = codes[rows], np.zeros(len(first), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return place[codes], ids.dictionary.take(pa.array(order)), rows


def _repeats_of(items: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Places of what its playlist held before, int64, whole playlists at a time."""
    ends = np.cumsum(lengths)
    found, start, done = [np.zeros(0, np.int64)], 0, 0
    while start < len(lengths):
        stop = max(start + 1, int(np.searchsorted(ends, done + AT_ONCE, side="right")))
        rows = np.repeat(np.arange(stop - start), lengths[start:stop])
        found.append(repeats(rows, items[done : int(ends[stop - 1])]) + done)
        start, done = stop, int(ends[stop - 1])
    return np.concatenate(found)


def _grown(array: np.ndarray | None, size: int, kind: type) -> np.ndarray:
    """The array with room for `size` numbers, zeros at its end."""
    if array is not None and len(array) >= size:
        return array
    grown: np.ndarray = np.zeros(2 * size, kind)
    if array is not None:
        grown[: len(array)] = array
    return grown


def _replaced(names: pa.ChunkedArray, later: dict[int, str]) -> pa.ChunkedArray:
    """Names of which some are said otherwise later on, by number."""
    if not later:
        return names
    numbers = sorted(later)
    mask = np.zeros(len(names), bool)
    mask[np.array(numbers) - 1] = True
    return pc.replace_with_mask(names, pa.array(mask), pa.array([later[number] for number in numbers], pa.string()))


def _mapped(file: object, kind: type) -> np.ndarray:
    file.flush()  # type: ignore[attr-defined]
    empty = not file.seek(0, 2)  # type: ignore[attr-defined]
    return np.zeros(0, kind) if empty else np.memmap(file, dtype=kind, mode="r")  # type: ignore[call-overload]

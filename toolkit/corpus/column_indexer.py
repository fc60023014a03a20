"""Indexing of column blocks, equivalent to `RecordIndexer` for records but faster.

Each distinct id in a block is looked up once instead of once per row. Playlist entries are stored in a file until all
are read. Then playlists are written in order of their first row, and tracks without metadata are numbered in order of
first occurrence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.readers.tables.column_types import first_places
from toolkit.catalogue.readers.tables.record_blocks import Block, Placements, Playlists, Tracks
from toolkit.corpus.arrays import FIELD
from toolkit.corpus.block_ranges import blocks_of
from toolkit.corpus.interning import Numbering
from toolkit.corpus.placement_spool import PlacementSpool
from toolkit.corpus.record_indexer import SPLITS, mapped, marked, named_tracks, repeats, with_times
from toolkit.timestamps import NO_TIME

AT_ONCE = 1 << 15  # placements that are searched for repetitions at once
NAMES = ("title", "artist", "album")
ABOUT = ("title", "group", "split")


class ColumnIndexer:
    """Indexer of blocks. After `through`, the methods return the arrays and tables of a corpus; `work` is a folder."""

    def __init__(self, work: Path, reader: Reader, *, drop_repeats: bool) -> None:
        self._work, self._reader, self._drop_repeats = work, reader, drop_repeats
        self._tracks, self._lists = _Numbered(NAMES), _Numbered(())
        self._varied = _VariedRows()
        self._final = np.zeros(1, np.int32)  # by number of first mention, the number in the corpus; 0: none yet
        self._count = 0
        self._as_mentioned = True  # whether both numbers of every track are the same so far
        self._later: dict[str, dict[int, str]] = {name: {} for name in NAMES}
        self._described: dict[int, np.ndarray] = {}  # by table, which track numbers it has described
        self._spool: PlacementSpool | None = None
        self._about: list[pa.Table] = []
        self._kept = np.zeros(1, bool)  # by playlist number, whether a playlist of that id was kept
        self._lengths: list[np.ndarray] = []
        self._playlist_times: list[np.ndarray] = []
        self._items, self._times = ((work / name).open("w+b") for name in ("items", "times"))
        self._has_times = False

    def through(self, blocks: Iterable[Block]) -> Iterator[int]:
        """Read all blocks, and yield the number of rows after each block."""
        done = 0
        for block in blocks:
            if isinstance(block, Tracks):
                self._describe(block)
            elif isinstance(block, Placements):
                self._spool_placements(block)
            else:
                self._write_playlists(block)
            if self._spool is not None and len(self._about):
                raise TypeError(
                    f"{type(self._reader).__name__}.blocks must not yield both Placements and Playlists: "
                    "yield only one block type"
                )
            done += len(block)
            del block
            pa.default_memory_pool().release_unused()  # otherwise it keeps some 100 MB
            yield done
        self._lists.close()
        self._tracks.close()
        if self._spool is not None:
            about = named_tracks(self._lists.texts(), self._lists.parts, {})
            for number in self._varied.playlists().tolist():
                self._reader.varied(about["id"][number - 1].as_py())
            bad = self._bad_playlists(np.arange(1, about.num_rows + 1), about)
            if self._spool.adjacent and self._spool.ordered and not bad.any():
                self._settle(np.arange(1, len(self._tracks) + 1))  # tracks were numbered in the order of playlists
            for stretch in self._spool.stretches():
                which = slice(stretch.first, stretch.first + len(stretch.lengths))
                self._write(about[which], stretch.lengths, stretch.tracks, stretch.times, bad[which])

    def __len__(self) -> int:
        """Return the number of tracks."""
        return self._count

    def placements(self) -> np.ndarray:
        """Return the track numbers, int32 [placements], memory-mapped."""
        return mapped(self._items, np.int32)

    def lengths(self) -> np.ndarray:
        """Return the playlist lengths, int64 [playlists]."""
        return np.concatenate([np.zeros(0, np.int64), *self._lengths])

    def plays(self) -> None:
        """Return None, because blocks do not have plays."""
        return

    def times(self) -> np.ndarray | None:
        """Return the times, int64 [placements], memory-mapped, if any time is known."""
        return mapped(self._times, np.int64) if self._has_times else None

    def tracks(self) -> pa.Table:
        """Return a table with id, title, artist and album by track number."""
        table = named_tracks(self._tracks.texts(), self._tracks.parts, self._later)
        if self._as_mentioned and self._count == len(self._tracks):
            return table
        final = self._final[1 : len(self._tracks) + 1]
        there = np.flatnonzero(final)
        return table.take(pa.array(there[np.argsort(final[there])]))

    def playlists(self) -> pa.Table:
        """Return a table with id, title, group, split and fields of playlists, and the time if any is known."""
        tables = self._about or [pa.table({name: pa.array([], pa.string()) for name in ("id", *ABOUT)})]
        times = np.concatenate([np.zeros(0, np.int64), *self._playlist_times])
        return with_times(pa.concat_tables(tables), times)

    def _describe(self, block: Tracks) -> None:
        """Assign track numbers and store names from the first row of a track in the last table."""
        numbers, fresh = self._tracks.numbers(block.id, {name: getattr(block, name) for name in NAMES})
        self._settle(numbers)
        known = self._described[block.table] = _grown(self._described.get(block.table), len(self._tracks) + 1, bool)
        _, first = np.unique(numbers, return_index=True)
        later = np.setdiff1d(first[~known[numbers[first]]], fresh)
        known[numbers] = True
        for row in later.tolist():
            for name in NAMES:
                if text := getattr(block, name)[row].as_py():
                    self._later[name][int(numbers[row])] = text

    def _spool_placements(self, block: Placements) -> None:
        tracks, _ = self._tracks.numbers(block.track)
        about = _about(block)
        if self._spool is None:
            self._lists = _Numbered(tuple(about))
        lists, _ = self._lists.numbers(block.playlist, about)
        self._varied.add(lists, block.fields)
        self._spool = self._spool or PlacementSpool(self._work)
        self._spool.add(lists - 1, tracks, block.position, block.time)

    def _write_playlists(self, block: Playlists) -> None:
        """Write complete playlists immediately."""
        lists, _ = self._lists.numbers(block.id)
        missing = pa.nulls(len(block.id), pa.string())
        texts = {name: missing if column is None else column for name, column in _about(block).items()}
        about = pa.table({"id": block.id.cast(pa.string())} | texts)
        bad = self._bad_playlists(lists, about)
        tracks, _ = self._tracks.numbers(block.track)
        self._write(about, np.diff(block.offsets), tracks, block.times, bad, block.time)

    def _bad_playlists(self, lists: np.ndarray, about: pa.Table) -> np.ndarray:
        """Return a mask of playlists with a repeated id or an invalid split, and report them."""
        self._kept = _grown(self._kept, len(self._lists) + 1, bool)
        split = about["split"]
        odd = np.asarray(
            pc.and_(split.is_valid(), pc.invert(pc.is_in(split, value_set=pa.array(SPLITS[1:])))).to_numpy(), bool
        )
        suspects = odd | self._kept[lists] | (len(np.unique(lists)) < len(lists))
        bad = np.zeros(len(lists), bool)
        for row in np.flatnonzero(suspects).tolist():
            if (repeated := bool(self._kept[lists[row]])) or odd[row]:
                bad[row] = True
                why = (
                    "the id must be unique"
                    if repeated
                    else f"split {split[row].as_py()!r} must be train, valid or test"
                )
                self._reader.bad(f"{self._reader.path}, playlist {about['id'][row].as_py()!r}", why)
            else:
                self._kept[lists[row]] = True
        self._kept[lists[~bad]] = True
        return bad

    def _write(
        self,
        about: pa.Table,
        lengths: np.ndarray,
        tracks: np.ndarray,
        times: np.ndarray | None,
        bad: np.ndarray,
        playlist_times: np.ndarray | None = None,
    ) -> None:
        """Write valid complete playlists with final track numbers.

        A repeated track in a playlist is dropped or written as −number.
        """
        if bad.any():
            rows = np.repeat(~bad, lengths)
            tracks, times = tracks[rows], None if times is None else times[rows]
            about, lengths = about.filter(pa.array(~bad)), lengths[~bad]
            playlist_times = None if playlist_times is None else playlist_times[~bad]
        self._settle(tracks)
        items = tracks if self._as_mentioned else self._final[tracks]
        items, lengths, times = marked(_repeats_of(items, lengths), items, lengths, times, drop=self._drop_repeats)
        self._items.write(items.data)
        if times is not None:
            self._has_times = True
            self._times.write(np.ascontiguousarray(times, np.int64).data)
        self._about.append(about)
        self._lengths.append(np.asarray(lengths, np.int64))
        self._playlist_times.append(np.full(len(lengths), NO_TIME) if playlist_times is None else playlist_times)

    def _settle(self, tracks: np.ndarray) -> None:
        """Assign final numbers to tracks without a number, in order of first occurrence."""
        self._final = _grown(self._final, len(self._tracks) + 1, np.int32)
        if self._count == len(self._tracks):
            return
        unsettled = tracks[self._final[tracks] == 0]
        if len(unsettled):
            distinct, first = np.unique(unsettled, return_index=True)
            distinct = distinct[np.argsort(first)]
            self._as_mentioned &= bool(distinct[0] == self._count + 1 and (np.diff(distinct) == 1).all())
            self._final[distinct] = np.arange(self._count + 1, self._count + 1 + len(distinct), dtype=np.int32)
            self._count += len(distinct)


def _about(block: Placements | Playlists) -> dict[str, pa.Array | None]:
    """Return the columns that describe playlists, by their name in the table of playlists."""
    own = {name: getattr(block, name) for name in ABOUT}
    return own | {FIELD + name: column for name, column in block.fields.items()}


class _VariedRows:
    """Search for playlists with rows whose fields differ from those of the first row."""

    def __init__(self) -> None:
        self._values: dict[str, Numbering] = {}
        self._first: dict[str, np.ndarray] = {}  # by playlist number, the number of the value of the first row
        self._found = np.zeros(1, bool)

    def add(self, lists: np.ndarray, fields: Mapping[str, pa.Array]) -> None:
        """Compare rows, given the number of the playlist of each row, int32 [n], and the values by field."""
        for name, column in fields.items():
            size, missing = int(lists.max(initial=0)) + 1, np.asarray(column.is_null().to_numpy(zero_copy_only=False))
            values, _ = self._values.setdefault(name, Numbering()).numbers(column.fill_null(""))
            values = np.where(missing, -1, values).astype(np.int32)
            first = self._first[name] = _grown(self._first.get(name), size, np.int32)
            fresh = np.flatnonzero(first[lists] == 0)[::-1]
            first[lists[fresh]] = values[fresh]  # reversed, so that the first row of a playlist is written last
            self._found = _grown(self._found, size, bool)
            self._found[lists[values != first[lists]]] = True

    def playlists(self) -> np.ndarray:
        """Return the numbers of the playlists, ascending."""
        return np.flatnonzero(self._found)


class _Numbered:
    """Numbering of ids with text columns by number."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._numbering = Numbering()
        self._texts: pa.ChunkedArray | None = None
        self.parts: dict[str, list[pa.Array]] = {name: [] for name in names}

    def __len__(self) -> int:
        return len(self._numbering) if self._texts is None else len(self._texts)

    def close(self) -> None:
        """Keep the texts and free the lookup table."""
        self._texts, self._numbering = self._numbering.texts(), Numbering()

    def texts(self) -> pa.ChunkedArray:
        """Return the ids by number."""
        return self._numbering.texts() if self._texts is None else self._texts

    def numbers(self, ids: pa.Array, about: dict[str, pa.Array | None] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of each id, int32 [n], and the first rows of new ids, int64; store the columns `about`."""
        codes, values, first = _coded(ids)
        of_values, fresh = self._numbering.numbers(values)
        rows = first[fresh]
        for name, parts in self.parts.items():
            column = None if about is None else about[name]
            if len(rows):
                parts.append(pa.nulls(len(rows), pa.string()) if column is None else column.take(pa.array(rows)))
        return of_values[codes], rows


def _coded(ids: pa.Array) -> tuple[np.ndarray, pa.Array, np.ndarray]:
    """Return codes int32 [n] of an id column, distinct values in row order, and their first rows."""
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
    """Return the indices of tracks that are repeated in a playlist, int64."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    found = [np.zeros(0, np.int64)]
    for start, stop in blocks_of(lengths, AT_ONCE):
        rows = np.repeat(np.arange(stop - start), lengths[start:stop])
        found.append(repeats(rows, items[offsets[start] : offsets[stop]]) + offsets[start])
    return np.concatenate(found)


def _grown(array: np.ndarray | None, size: int, kind: type) -> np.ndarray:
    """Return the array extended with zeros to at least `size` numbers."""
    if array is not None and len(array) >= size:
        return array
    grown: np.ndarray = np.zeros(2 * size, kind)
    if array is not None:
        grown[: len(array)] = array
    return grown

"""Readers of playlists in Arrow tables, in memory or in files.

A row is one placement, and rows of a playlist may be anywhere; or a row is a whole playlist, whose tracks are a list:

    playlist_id  track_id  position  title       or       playlist_id  tracks     playlist_title
    7            a         1         Song A               7            [a, b]     Morning
    7            b         2         Song B

Texts, dictionaries and numbers mean the same as in a CSV file; NaN and null are missing values. Messages count rows
from 0.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa

from toolkit.catalogue.readers.reader import FileReader, OnError
from toolkit.catalogue.readers.tables import column_types, table_rows
from toolkit.catalogue.readers.tables.column_layout import Layout, check_type, check_unique_names, described, layout
from toolkit.catalogue.readers.tables.delimited import check_column, nearest
from toolkit.catalogue.readers.tables.label_counts import LabelCounter
from toolkit.catalogue.readers.tables.placement_columns import PlacementColumns
from toolkit.catalogue.readers.tables.playlist_spool import collected
from toolkit.catalogue.readers.tables.record_blocks import Block, Tracks, placement_rows, records
from toolkit.catalogue.readers.tables.repeated_tracks import FirstRows
from toolkit.catalogue.readers.tables.table_rows import TableRows, Where
from toolkit.catalogue.readers.tables.track_columns import NAMES, TrackColumns, TrackParser
from toolkit.catalogue.readers.tables.value_hashes import playlist_hashes
from toolkit.catalogue.records import Record, TrackRecord
from toolkit.errors import DataError, InputError

ROWS = 1 << 18  # placements of a block
LISTS = 1 << 13  # rows of a block where each is a whole playlist
DESCRIBED = 4096  # rows that are read at once if they may hold vectors and pictures
PARSED = 256  # of these, rows that are converted to records at once

C = TypeVar("C", bound=TrackColumns)


class Part(Protocol):
    """Table in a file or in memory; `path` is its name in messages and `folder` the base of paths in cells."""

    path: Path
    folder: Path

    @property
    def schema(self) -> pa.Schema: ...

    def batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of the columns with about `rows` rows."""


class TableReader(FileReader):
    """Base class of Arrow table readers, whose subclasses open the tables."""

    params: PlacementColumns

    @abstractmethod
    def parts(self) -> Sequence[Part]:
        """Return the playlist tables in order, all with the same columns."""

    @abstractmethod
    def side(self) -> tuple[Part, TrackColumns] | None:
        """Return a table with one track per row, and its columns."""

    def columns(self) -> PlacementColumns:
        """Return the options for a playlist table."""
        return self.params

    def blocks(self) -> Iterator[Block]:
        playlists = False
        for block in prefetched(self._blocks()):
            playlists |= not isinstance(block, Tracks) and len(block) > 0
            yield block
        if not playlists:
            raise DataError(f"{self.path} must contain a playlist: correct the path or the reader options")

    def check_source(self) -> None:
        self._laid()
        if (side := self.side()) is not None:
            _side_columns(*side)

    def fields_offered(self) -> set[str]:
        laid, side = self._laid(), self.side()
        found = self.columns().offered(laid[0][1].described)
        return found | (side[1].offered(side[0].schema.names) if side is not None else set())

    def _read(self) -> Iterator[Record]:
        laid, side = self._laid(), self.side()
        if side is not None:
            yield from self._side_records(*side)
        if laid[0][1].lists:
            yield from self._list_records(laid)
            return
        yield from self._described(laid)
        readers = ((part, found.of_rows, TableRows(found, self.params.scheme, self.bad)) for part, found in laid)
        placements = (
            placement
            for part, names, rows in readers
            for batch, where in _batches(part, names, ROWS >> 2)
            for placement in placement_rows(rows.flat(batch, where))
        )
        yield from collected(placements, self.varied)

    def _blocks(self) -> Iterator[Block]:
        laid, side = self._laid(), self.side()
        if side is not None:
            yield from self._side_blocks(*side)
        for part, found in laid:
            rows, columns = TableRows(found, self.params.scheme, self.bad), self._tracks_of(found)
            names = [name for name in table_rows.name_columns(columns, found.described) if name is not None]
            for batch, where in _batches(part, [*found.of_rows, *names], LISTS if found.lists else ROWS):
                opened = rows.lists(batch, where) if found.lists else None
                if found.described:
                    about, location = (batch, where) if opened is None else (opened.tracks, opened.where)
                    track = column_types.ids(about.column(found.track), self.params.scheme, location, found.track)
                    yield table_rows.track_names(track, about, columns, table_rows.first_rows(track), table=1)
                yield rows.flat(batch, where) if opened is None else opened.block

    def _laid(self) -> list[tuple[Part, Layout]]:
        """Yield parts with columns. Raises `InputError` for a part with different columns."""
        parts = self.parts()
        found = [layout(self.columns(), part.schema, part.path) for part in parts]
        for part, other in zip(parts, found, strict=True):
            if other != found[0]:
                raise InputError(f"{part.path} must have the same columns as {parts[0].path}: rename or add columns")
        return list(zip(parts, found, strict=True))

    def _tracks_of(self, found: Layout) -> TrackColumns:
        return self.columns().model_copy(update={"track": found.track})

    def _side_records(self, part: Part, columns: TrackColumns) -> Iterator[TrackRecord]:
        parser, first = TrackParser(columns, part.folder, self.params, self.bad, self.files), FirstRows(self.doubles)
        for batch, where in _batches(part, _side_columns(part, columns), DESCRIBED):
            for row, record in _parsed(parser, batch, np.arange(batch.num_rows), where):
                yield from first(record, where(row))

    def _side_blocks(self, part: Part, columns: TrackColumns) -> Iterator[Tracks]:
        _side_columns(part, columns)
        names = [name for name in table_rows.name_columns(columns, part.schema.names) if name is not None]
        for batch, where in _batches(part, [columns.track, *names], ROWS):
            found = column_types.ids(batch.column(columns.track), self.params.scheme, where, columns.track)
            there = found.is_valid().to_numpy(zero_copy_only=False)
            for row in np.flatnonzero(~there).tolist():
                self.bad(where(row), f"must have a value for {columns.track}")
            yield table_rows.track_names(found, batch, columns, np.flatnonzero(there), table=0)

    def _described(self, laid: Sequence[tuple[Part, Layout]]) -> Iterator[TrackRecord]:
        """Yield tracks of the playlist table, each from its first row."""
        if not laid[0][1].described:
            return
        seen, labels = set[str](), self._label_counter(laid[0][1])
        for part, found in laid:
            parser = TrackParser(self._tracks_of(found), part.folder, self.params, self.bad, self.files)
            counted = (found.playlist,) if labels.columns else ()
            for batch, where in _batches(part, [found.track, *counted, *found.described], DESCRIBED):
                if labels.columns:
                    ids = column_types.ids(batch.column(found.playlist), None, where, found.playlist)
                    _count(labels, playlist_hashes(ids), batch, found.track)
                rows = _unseen(batch.column(found.track), where, found.track, seen)
                for _, record in _parsed(parser, batch, rows, where):
                    if record is not None:
                        yield record
        self.labels = labels.counts()

    def _label_counter(self, found: Layout) -> LabelCounter:
        return LabelCounter(self._tracks_of(found).content_columns(found.described))

    def _list_records(self, laid: Sequence[tuple[Part, Layout]]) -> Iterator[Record]:
        """Yield, for each playlist, the new tracks and then the playlist."""
        seen, labels = set[str](), self._label_counter(laid[0][1])
        for part, found in laid:
            rows = TableRows(found, self.params.scheme, self.bad)
            parser = TrackParser(self._tracks_of(found), part.folder, self.params, self.bad, self.files)
            for batch, where in _batches(part, [*found.of_rows, *found.described], DESCRIBED >> 4):
                opened = rows.lists(batch, where)
                if labels.columns:
                    owners = playlist_hashes(opened.block.id.to_pylist())[opened.owners]
                    _count(labels, owners, opened.tracks, found.track)
                fresh: dict[int, list[TrackRecord]] = {}
                if found.described:
                    entries = _unseen(opened.tracks.column(found.track), opened.where, found.track, seen)
                    for entry, track in _parsed(parser, opened.tracks, entries, opened.where):
                        if track is not None:
                            fresh.setdefault(int(opened.owners[entry]), []).append(track)
                for place, record in enumerate(records([opened.block])):
                    yield from fresh.get(place, ())
                    yield record
        self.labels = labels.counts()


class TablePart:
    """Table in memory."""

    def __init__(self, table: pa.Table, name: str) -> None:
        self.table = table
        self.path = Path(name)
        self.folder = Path()
        self.schema = table.schema

    def batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        table = self.table.select(list(names))
        for start in range(0, table.num_rows, rows):
            # a frame may consist of thousands of small chunks
            yield table.slice(start, rows).combine_chunks().to_batches()[0]


class ArrowParams(PlacementColumns):
    """Columns of the playlist table; `tracks` are columns of the track table, by default the same."""

    tracks: TrackColumns | None = None


class ArrowReader(TableReader):
    """Reader for playlists in an in-memory table, and tracks in the same or a second table.

    - placements: one playlist entry or one playlist per row. A stream is read into memory to be readable twice.
    - tracks: one track per row.

    Raises `InputError` for a column that is missing in both tables.
    """

    name = "table"
    needs_path = False
    Params = ArrowParams
    params: ArrowParams

    def __init__(
        self,
        placements: pa.Table | pa.RecordBatchReader,
        tracks: pa.Table | None = None,
        params: ArrowParams | None = None,
        *,
        on_error: OnError = "stop",
    ) -> None:
        super().__init__(Path("placements"), params, on_error=on_error)
        table = placements if isinstance(placements, pa.Table) else placements.read_all()
        self.placements = TablePart(table, "placements")
        self.tracks = None if tracks is None else TablePart(tracks, "tracks")
        self._check()

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return False, because a table in memory has no path."""
        return False

    def parts(self) -> list[TablePart]:
        return [self.placements]

    def columns(self) -> PlacementColumns:
        if self.tracks is None or self.params.tracks is not None:
            return self.params
        return _only(self.params, set(self.placements.schema.names) - set(self.tracks.schema.names))

    def side(self) -> tuple[Part, TrackColumns] | None:
        if self.tracks is None:
            return None
        if self.params.tracks is not None:
            return self.tracks, self.params.tracks
        header = set(self.tracks.schema.names)
        own = _only(TrackColumns(**{name: getattr(self.params, name) for name in TrackColumns.model_fields}), header)
        plain = own.track not in header and "track" not in self.params.model_fields_set and "id" in header
        return self.tracks, own.model_copy(update={"track": "id"}) if plain else own

    def _check(self) -> None:
        """Raise `InputError` for track columns that are missing in all tables."""
        if self.tracks is None:
            if self.params.tracks is not None:
                raise InputError("options.tracks requires a track table: pass `tracks` or remove options.tracks")
        elif self.params.tracks is None:
            header, other = self.placements.schema.names, self.tracks.schema.names
            for column, option in self.params.named_columns().items():
                if column not in header and column not in other:
                    cure = nearest(column, [*header, *other])
                    raise InputError(f"column {column!r} (option {option}) is missing in playlists and tracks: {cure}")
            for name, listed in self.params.vectors().items():
                if not (set(listed) <= set(header) - set(other) or set(listed) <= set(other)):
                    raise InputError(
                        f"features.{name}: the columns {', '.join(listed)} must be in one table: move columns"
                    )


def prefetched(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield the same blocks, reading the next block in a thread."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, blocks, None)
        while (block := waiting.result()) is not None:
            waiting = pool.submit(next, blocks, None)
            yield block


def _only(columns: C, header: set[str]) -> C:
    """Return the options without columns that are missing in the table."""
    simple = {name: None for name in NAMES if getattr(columns, name) not in header}
    files = ("fields", "images", "audio")
    texts = {
        option: {name: column for name, column in getattr(columns, option).items() if column in header}
        for option in files
    }
    vectors = {name: listed for name, listed in columns.vectors().items() if set(listed) <= header}
    return columns.model_copy(update={**simple, **texts, "features": vectors})


def _side_columns(part: Part, columns: TrackColumns) -> list[str]:
    """Return the columns to read of a track table. Raises `InputError` for a missing column or wrong type."""
    check_unique_names(part.schema.names, part.path)
    check_column(part.path, part.schema.names, "tracks.track", columns.track)
    rule = (column_types.is_plain, "texts or whole numbers")
    check_type(part.path, part.schema, "tracks.track", columns.track, *rule)
    return list(dict.fromkeys([columns.track, *described(columns, part.schema, part.path)]))


def _count(labels: LabelCounter, playlists: np.ndarray, batch: pa.RecordBatch, track: str) -> None:
    labels.add_batch(playlists, batch.column(track), {name: batch.column(name) for name in labels.columns})


def _batches(part: Part, names: Sequence[str], rows: int) -> Iterator[tuple[pa.RecordBatch, Where]]:
    """Yield batches of a part, each with a function that returns the location of a row."""
    start = 0
    for batch in part.batches(list(dict.fromkeys(names)), rows):
        yield column_types.without_views(batch), partial(_where, part.path, start)
        start += batch.num_rows


def _where(path: Path, start: int, row: int) -> str:
    return f"{path}, row {start + row}"


def _unseen(array: pa.Array, where: Where, name: str, seen: set[str]) -> np.ndarray:
    """Return the first row of each track not in `seen`, int64 ascending, and add the tracks to `seen`."""
    coded = column_types.ids(array, None, where, name)
    rows = []
    for row in table_rows.first_rows(coded).tolist():
        if (track := coded[row].as_py()) not in seen:
            seen.add(track)
            rows.append(row)
    return np.array(rows, np.int64)


def _location(where: Where, rows: np.ndarray, place: int) -> str:
    return where(int(rows[place]))


def _parsed(
    parser: TrackParser, batch: pa.RecordBatch, rows: np.ndarray, where: Where
) -> Iterator[tuple[int, TrackRecord | None]]:
    """Yield some rows with their records."""
    track = parser.columns.track
    for start in range(0, len(rows), PARSED):
        chunk = rows[start : start + PARSED]
        taken = batch.take(pa.array(chunk))
        cells = {name: column_types.cells(taken.column(name)) for name in batch.schema.names if name != track}
        location = partial(_location, where, chunk)
        cells[track] = column_types.ids(taken.column(track), None, location, track).to_pylist()
        for place, row in enumerate(chunk.tolist()):
            yield row, parser.record({name: values[place] for name, values in cells.items()}, where(row))

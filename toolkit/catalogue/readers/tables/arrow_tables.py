"""Playlists from Arrow tables: in memory, or wherever a reader finds them (`parquet`).

A row is one placement, and rows of a playlist may be anywhere; or a row is a whole playlist, whose tracks are a list:

    playlist_id  track_id  position  title       or       playlist_id  tracks     playlist_title
    7            a         1         Song A               7            [a, b]     Morning
    7            b         2         Song B

Texts, dictionaries and numbers are taken as they are in a CSV file; NaN and null are nothing. Rows in messages are counted from 0.
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

from toolkit.catalogue.readers.open_files import some
from toolkit.catalogue.readers.reader import OnError, Reader
from toolkit.catalogue.readers.tables import column_types, table_rows
from toolkit.catalogue.readers.tables.column_layout import NAMES, Layout, described, layout, needed, one_each
from toolkit.catalogue.readers.tables.delimited import nearest
from toolkit.catalogue.readers.tables.placement_columns import PlacementColumns
from toolkit.catalogue.readers.tables.playlist_spool import Placement, PlaylistSpool
from toolkit.catalogue.readers.tables.record_blocks import Block, Placements, Tracks, records, said
from toolkit.catalogue.readers.tables.repeated_tracks import FirstRows
from toolkit.catalogue.readers.tables.table_rows import TableRows, Where
from toolkit.catalogue.readers.tables.track_columns import TrackColumns, TrackParser
from toolkit.catalogue.records import Record, TrackRecord
from toolkit.errors import DataError, InputError

ROWS = 1 << 18
"""Placements of a block."""
LISTS = 1 << 13
"""Rows of a block where each is a whole playlist."""
DESCRIBED = 4096
"""Rows that are read at once where they may hold vectors and pictures."""
PARSED = 256
"""Rows of those that are turned into records at once."""

C = TypeVar("C", bound=TrackColumns)


class Part(Protocol):
    """One table: a file, or a frame in memory. path: what messages call it; folder: where the files are that its cells name."""

    @property
    def path(self) -> Path: ...

    @property
    def folder(self) -> Path: ...

    @property
    def schema(self) -> pa.Schema: ...

    def batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Those columns, about so many rows at a time."""


class TableReader(Reader):
    """What readers of Arrow tables share: they say where the tables are."""

    params: PlacementColumns

    @abstractmethod
    def parts(self) -> Sequence[Part]:
        """Tables of placements, in order; all have the columns of the first."""

    @abstractmethod
    def side(self) -> tuple[Part, TrackColumns] | None:
        """A table with one track a row, and its columns."""

    @property
    @abstractmethod
    def source(self) -> str:
        """Where values come from, as fields have it."""

    def given(self) -> PlacementColumns:
        """The options as they are meant of a table of placements."""
        return self.params

    def read(self) -> Iterator[Record]:
        return some(self._read(), self.path)

    def blocks(self) -> Iterator[Block]:
        playlists = False
        for block in ahead(self._blocks()):
            playlists |= not isinstance(block, Tracks) and len(block) > 0
            yield block
        if not playlists:
            raise DataError(f"{self.path} holds no playlist")

    def check_source(self) -> None:
        self._laid()
        if (side := self.side()) is not None:
            _side_columns(*side)

    def fields_offered(self) -> set[str]:
        laid, side = self._laid(), self.side()
        found = self.given().offered(laid[0][1].described)
        return found | (side[1].offered(side[0].schema.names) if side is not None else set())

    def _read(self) -> Iterator[Record]:
        laid, side = self._laid(), self.side()
        if side is not None:
            yield from self._side_records(*side)
        if laid[0][1].lists:
            yield from self._list_records(laid)
            return
        yield from self._described(laid)
        with PlaylistSpool() as spool:
            for part, found in laid:
                rows = TableRows(found, self.params.scheme, self.bad)
                for batch, where in _batches(part, found.of_rows, ROWS >> 2):
                    for placement in _each(rows.flat(batch, where)):
                        spool.add(placement)
            yield from spool.playlists()

    def _blocks(self) -> Iterator[Block]:
        laid, side = self._laid(), self.side()
        if side is not None:
            yield from self._side_blocks(*side)
        for part, found in laid:
            rows, given = TableRows(found, self.params.scheme, self.bad), self._tracks_of(found)
            names = [name for name in table_rows.named(given, found.described) if name is not None]
            for batch, where in _batches(part, [*found.of_rows, *names], LISTS if found.lists else ROWS):
                opened = rows.lists(batch, where) if found.lists else None
                if found.described:
                    about, place = (batch, where) if opened is None else (opened.tracks, opened.where)
                    track = column_types.ids(about.column(found.track), self.params.scheme, place, found.track)
                    yield table_rows.names(track, about, given, table_rows.first(track), table=1)
                yield rows.flat(batch, where) if opened is None else opened.block

    def _laid(self) -> list[tuple[Part, Layout]]:
        """The parts with their columns. Raises where one is of another form than the first."""
        parts = self.parts()
        found = [layout(self.given(), part.schema, part.path) for part in parts]
        for part, other in zip(parts, found, strict=True):
            if other != found[0]:
                raise InputError(f"{part.path} has other columns than {parts[0].path}: give every part the same")
        return list(zip(parts, found, strict=True))

    def _tracks_of(self, found: Layout) -> TrackColumns:
        return self.given().model_copy(update={"track": found.track})

    def _parser(self, given: TrackColumns, folder: Path) -> TrackParser:
        params = self.params
        return TrackParser(
            given, folder, scheme=params.scheme, source=self.source, train_allowed=params.train_allowed, bad=self.bad
        )

    def _side_records(self, part: Part, given: TrackColumns) -> Iterator[TrackRecord]:
        parser, first = self._parser(given, part.folder), FirstRows(self.doubles)
        for batch, where in _batches(part, _side_columns(part, given), DESCRIBED):
            for row, record in _parsed(parser, batch, np.arange(batch.num_rows), where):
                yield from first(record, where(row))

    def _side_blocks(self, part: Part, given: TrackColumns) -> Iterator[Tracks]:
        _side_columns(part, given)
        names = [name for name in table_rows.named(given, part.schema.names) if name is not None]
        for batch, where in _batches(part, [given.track, *names], ROWS):
            found = column_types.ids(batch.column(given.track), self.params.scheme, where, given.track)
            there = found.is_valid().to_numpy(zero_copy_only=False)
            for row in np.flatnonzero(~there).tolist():
                self.bad(where(row), f"has no {given.track}")
            yield table_rows.names(found, batch, given, np.flatnonzero(there), table=0)

    def _described(self, laid: Sequence[tuple[Part, Layout]]) -> Iterator[TrackRecord]:
        """Tracks of the placements' table, each at its first row."""
        seen: set[str] = set()
        for part, found in laid if laid[0][1].described else ():
            parser = self._parser(self._tracks_of(found), part.folder)
            for batch, where in _batches(part, [found.track, *found.described], DESCRIBED):
                for _, record in _parsed(
                    parser, batch, _unseen(batch.column(found.track), where, found.track, seen), where
                ):
                    if record is not None:
                        yield record

    def _list_records(self, laid: Sequence[tuple[Part, Layout]]) -> Iterator[Record]:
        """Of each playlist the tracks that come for the first time, then the playlist."""
        seen: set[str] = set()
        for part, found in laid:
            rows, parser = (
                TableRows(found, self.params.scheme, self.bad),
                self._parser(self._tracks_of(found), part.folder),
            )
            for batch, where in _batches(part, [*found.of_rows, *found.described], DESCRIBED >> 4):
                opened = rows.lists(batch, where)
                fresh: dict[int, list[TrackRecord]] = {}
                if found.described:
                    entries = _unseen(opened.tracks.column(found.track), opened.where, found.track, seen)
                    for entry, track in _parsed(parser, opened.tracks, entries, opened.where):
                        if track is not None:
                            fresh.setdefault(int(opened.owners[entry]), []).append(track)
                for place, record in enumerate(records([opened.block])):
                    yield from fresh.get(place, ())
                    yield record


class TablePart:
    """A table in memory."""

    def __init__(self, table: pa.Table, name: str) -> None:
        self.table = table
        self.path = Path(name)
        self.folder = Path()
        self.schema = table.schema

    def batches(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        table = self.table.select(list(names))
        for start in range(0, table.num_rows, rows):
            # one chunk each: a frame may be of thousands of small ones
            yield table.slice(start, rows).combine_chunks().to_batches()[0]


class ArrowParams(PlacementColumns):
    """Columns of placements. tracks: those of the table of tracks; default: the same options, each of the table that has the column."""

    tracks: TrackColumns | None = None
    source: str = "table"


class ArrowReader(TableReader):
    """Playlists from a table in memory, tracks from the same or a second one.

    placements: one placement or one playlist a row; a stream is read into memory, since readers are read more than once.
    tracks: one track a row. Raises `InputError` for a column that neither has.
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
        """Never: a table in memory has no path."""
        return False

    @property
    def source(self) -> str:
        return self.params.source

    def parts(self) -> list[TablePart]:
        return [self.placements]

    def given(self) -> PlacementColumns:
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
        """Raises for named columns of tracks that no table has."""
        if self.tracks is None:
            if self.params.tracks is not None:
                raise InputError("options.tracks names columns of a table of tracks, and there is none: give one")
        elif self.params.tracks is None:
            header, other = self.placements.schema.names, self.tracks.schema.names
            for column, option in self.params.given().items():
                if column not in header and column not in other:
                    known = [*header, *other]
                    raise InputError(
                        f"neither placements nor tracks has a column {column!r} (option {option}): {nearest(column, known)}"
                    )
            for name, listed in self.params.vectors().items():
                if not (set(listed) <= set(header) - set(other) or set(listed) <= set(other)):
                    raise InputError(
                        f"features.{name}: {', '.join(listed)} are columns of two tables: give them in one"
                    )


def ahead(blocks: Iterator[Block]) -> Iterator[Block]:
    """The same, the next one being read while one is worked on."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, blocks, None)
        while (block := waiting.result()) is not None:
            waiting = pool.submit(next, blocks, None)
            yield block


def _only(given: C, header: set[str]) -> C:
    """The options without the columns of tracks that a table does not have."""
    simple = {name: None for name in NAMES if getattr(given, name) not in header}
    files = ("fields", "images", "audio")
    texts = {
        option: {name: column for name, column in getattr(given, option).items() if column in header}
        for option in files
    }
    vectors = {name: listed for name, listed in given.vectors().items() if set(listed) <= header}
    return given.model_copy(update={**simple, **texts, "features": vectors})


def _side_columns(part: Part, given: TrackColumns) -> list[str]:
    """Columns of a table of tracks that are read. Raises `InputError` for one that is not there or of another kind."""
    one_each(part.schema.names, part.path)
    needed(part.path, part.schema.names, "tracks.track", given.track)
    kind = part.schema.field(given.track).type
    if not column_types.is_plain(kind):
        shown = column_types.kind_of(kind)
        raise InputError(
            f"{part.path}, column {given.track!r} (option tracks.track) holds {shown}: it must hold texts or whole numbers"
        )
    return list(dict.fromkeys([given.track, *described(given, part.schema, part.path)]))


def _batches(part: Part, names: Sequence[str], rows: int) -> Iterator[tuple[pa.RecordBatch, Where]]:
    """Batches of a part, and the place of each of their rows."""
    start = 0
    for batch in part.batches(list(dict.fromkeys(names)), rows):
        yield column_types.without_views(batch), partial(_where, part.path, start)
        start += batch.num_rows


def _where(path: Path, start: int, row: int) -> str:
    return f"{path}, row {start + row}"


def _unseen(array: pa.Array, where: Where, name: str, seen: set[str]) -> np.ndarray:
    """int64, ascending: the first row of each track that is not among those seen, to which it is added."""
    coded = column_types.ids(array, None, where, name)
    rows = []
    for row in table_rows.first(coded).tolist():
        if (track := coded[row].as_py()) not in seen:
            seen.add(track)
            rows.append(row)
    return np.array(rows, np.int64)


def _parsed(
    parser: TrackParser, batch: pa.RecordBatch, rows: np.ndarray, where: Where
) -> Iterator[tuple[int, TrackRecord | None]]:
    """Records of some rows, with their rows."""
    track = parser.columns.track
    for start in range(0, len(rows), PARSED):
        some = rows[start : start + PARSED]
        taken = batch.take(pa.array(some))
        cells = {name: column_types.python(taken.column(name)) for name in batch.schema.names if name != track}
        cells[track] = column_types.ids(
            taken.column(track), None, lambda row, some=some: where(int(some[row])), track
        ).to_pylist()  # type: ignore[misc]
        for place, row in enumerate(some.tolist()):
            yield row, parser.record({name: values[place] for name, values in cells.items()}, where(row))


def _each(block: Placements) -> Iterator[Placement]:
    """The rows of a block."""
    n = len(block)
    positions = [0.0] * n if block.position is None else block.position.tolist()
    times = [None] * n if block.time is None else block.time.tolist()
    rows = zip(block.playlist.to_pylist(), block.track.to_pylist(), positions, *said(block, n), times, strict=True)
    for playlist, track, position, title, description, group, split, time in rows:
        yield Placement(playlist, track, position, title, description, group, split, time=time)

"""Reader for CSV and TSV files with one playlist entry per row, optionally gzipped.

    reader: csv
    path: playlists.csv.gz
    options:
      playlist: playlist_id
      position: pos
      tracks: {file: tracks.csv.gz, duration: duration_sec, features: [energy, tempo]}

Rows of a playlist may be anywhere in the file. With `sorted: true` they must be adjacent, and no temporary file is
needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field as Option

from toolkit.catalogue.readers.ids import qualified
from toolkit.catalogue.readers.open_files import Bad, Encoding, has_ending, with_playlists
from toolkit.catalogue.readers.reader import FileReader, shortened
from toolkit.catalogue.readers.tables.delimited import DelimitedFile, number_or_nan, stripped
from toolkit.catalogue.readers.tables.label_counts import LabelCounter
from toolkit.catalogue.readers.tables.placement_columns import PlacementColumns
from toolkit.catalogue.readers.tables.playlist_spool import (
    LARGEST_POSITION,
    POSITION_RULE,
    Placement,
    adjacent,
    collected,
)
from toolkit.catalogue.readers.tables.row_files import (
    RowFile,
    check_columns,
    described_tracks,
    offered_fields,
    open_rows,
)
from toolkit.catalogue.readers.tables.track_columns import TrackParser, TrackTable
from toolkit.catalogue.records import Record, TrackRecord
from toolkit.timestamps import TIME_RULE, to_seconds

ABOUT = ("playlist_title", "description", "group", "split")
"""Columns that describe a playlist, in the order of a `Placement`."""


class CsvParams(PlacementColumns):
    """Columns and format of the playlist file."""

    delimiter: str | None = Option(None, min_length=1, max_length=1)
    encoding: Encoding = "auto"
    quoted: bool = Option(True, description="whether cells may be in double quotes; false if quotes are part of values")
    sorted: bool = False
    tracks: TrackTable | None = None
    source: str = "csv"


class CsvReader(FileReader):
    """Reader for CSV and TSV files with one row for each track of a playlist.

    Track metadata is in the same table or in a second table.
    """

    name = "csv"
    Params = CsvParams
    params: CsvParams

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return has_ending(path, ".csv", ".tsv")

    def brief(self) -> Iterator[Record]:
        """Yield the same records without counting labels, which matter only to a catalogue."""
        return with_playlists(self._records(counted=False), self.path)

    def _read(self) -> Iterator[Record]:
        return self._records(counted=True)

    def _records(self, *, counted: bool) -> Iterator[Record]:
        table = self._table(self.path)
        self.params.check(table.header, self.path)
        if self.params.tracks is not None:
            yield from self._track_table(self.params.tracks)
        if self.params.describes(table.header):
            yield from self._described(table)
        content = self.params.content_columns(table.header) if counted else {}
        labels = LabelCounter(content, [table.header.index(name) for name in content])
        yield from (adjacent if self.params.sorted else collected)(self._placements(table, labels), self.varied)
        self.labels = labels.counts()

    def check_source(self) -> None:
        table = self._table(self.path)
        self.params.check(table.header, self.path)
        self._columns(table)
        self._fields(table)
        if self.params.tracks is not None:
            self._side(self.params.tracks)

    def fields_offered(self) -> set[str]:
        own, tracks = self.params.offered(self._table(self.path).header), self.params.tracks
        return own if tracks is None else own | offered_fields(self._side(tracks), tracks)

    def _table(self, path: Path, bad: Bad | None = None) -> DelimitedFile:
        params = self.params
        return DelimitedFile(
            path, bad or self.bad, delimiter=params.delimiter, quoted=params.quoted, encoding=params.encoding
        )

    def _side(self, columns: TrackTable) -> RowFile:
        """Return the track file. Raises `InputError` for a missing column."""
        file = open_rows(columns, self.path.parent, self.bad, delimited=self._table)
        check_columns(file, columns)
        return file

    def _track_table(self, columns: TrackTable) -> Iterator[TrackRecord]:
        file = self._side(columns)
        parser = TrackParser(columns, file.path.parent, self.params, self.bad, self.files)
        yield from described_tracks(file, parser, self.doubles)

    def _described(self, table: DelimitedFile) -> Iterator[TrackRecord]:
        """Yield tracks of the playlist file, each from its first row."""
        identifier = table.needed("track", self.params.track)
        parser, seen = TrackParser(self.params, table.path.parent, self.params, self.bad, self.files), {""}
        # the pass over placements reports broken rows, this one need not
        for line, row in self._table(self.path, lambda *_: None).rows():
            # a row without a track is reported by the other pass
            if (track := stripped(row[identifier])) not in seen:
                seen.add(track)
                if (record := parser.record(table.mapping(row), table.where(line))) is not None:
                    yield record

    def _columns(self, table: DelimitedFile) -> tuple[int, int, int | None, int | None, list[int | None]]:
        """Return columns of playlist, track, position, time and `ABOUT`. Raises `InputError` for a missing column."""
        params = self.params
        playlist, track = table.needed("playlist", params.playlist), table.needed("track", params.track)
        position = table.column("position", params.position, "position" if "position" in table.header else "pos")
        time = table.column("time", params.time)
        return playlist, track, position, time, [table.column(name, getattr(params, name), name) for name in ABOUT]

    def _fields(self, table: DelimitedFile) -> list[tuple[str, int]]:
        """Return names and columns of playlist fields. Raises `InputError` for a missing column."""
        named = self.params.playlist_fields
        return [(name, table.needed(f"playlist_fields.{name}", column)) for name, column in named.items()]

    def _placements(self, table: DelimitedFile, labels: LabelCounter) -> Iterator[Placement]:
        params = self.params
        playlist, track, position, time, about = self._columns(table)
        fields = self._fields(table)
        for line, row in table.rows():
            name, identifier = stripped(row[playlist]), stripped(row[track])
            if not name or not identifier:
                self.bad(table.where(line), f"must have a value for {params.track if name else params.playlist}")
                continue
            if "\n" in name or "\n" in identifier:
                broken = name if "\n" in name else identifier
                self.bad(table.where(line), f"id {shortened(broken)} must not have a line break: correct the quotes")
                continue
            when = None
            if time is not None and (when := to_seconds(row[time])) is None:
                self.bad(table.where(line), f"time {shortened(row[time])} {TIME_RULE}")
                continue
            place = float(when or 0) if position is None else number_or_nan(row[position])
            if not abs(place) <= LARGEST_POSITION:
                self.bad(table.where(line), f"position {shortened(row[position or 0])} {POSITION_RULE}")
                continue
            if labels.columns:
                labels.add_row(name, identifier, row)
            cells = [stripped(row[index]) or None if index is not None else None for index in about]
            yield Placement(
                name,
                qualified(identifier, params.scheme),
                place,
                *cells,
                time=when,
                fields=tuple([(name, stripped(row[index]) or None) for name, index in fields]) if fields else (),
            )

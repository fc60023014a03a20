"""Content of tracks in other tables, for readers whose playlists name the tracks themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator
from pydantic import Field as Option

from toolkit.catalogue.readers.ids import recognised
from toolkit.catalogue.readers.open_files import with_playlists
from toolkit.catalogue.readers.reader import FileReader, ReaderParams, shortened
from toolkit.catalogue.readers.tables.repeated_tracks import FirstRows
from toolkit.catalogue.readers.tables.row_files import RowFile, check_columns, named_rows, open_rows
from toolkit.catalogue.readers.tables.track_columns import ContentParser, ContentTable, TrackOrigin, id_text
from toolkit.catalogue.records import NamedPlaylist, Record, TrackRecord
from toolkit.errors import InputError


def _listed(value: object) -> object:
    """Return a list with the only table, or the value."""
    return [value] if isinstance(value, dict) else value


class ContentOptions(ReaderParams):
    """Options of readers that take content of their tracks from other tables."""

    tracks: Annotated[
        list[ContentTable], BeforeValidator(_listed, json_schema_input_type=ContentTable | list[ContentTable])
    ] = Option(
        default=[],
        description="table with content of tracks, or a list of tables; paths are relative to the folder of the data."
        " Rows are found by the track's id, with or without its scheme; rows of other tracks are not read",
    )


class ContentReader(FileReader):
    """Base class of readers that take content of their tracks from other tables, the option `tracks`.

    The tables are read after the playlists, and give values only to tracks that the data has. Memory grows with the
    number of tracks, not with the size of the tables.
    """

    params: ContentOptions
    kind = ""
    """Kind in ids of tracks: `scheme:kind:…`, or empty for `scheme:…`."""

    def read(self) -> Iterator[Record]:
        records = self._with_content() if self.params.tracks else self._read()
        return with_playlists(records, self.path)

    def brief(self) -> Iterator[Record | NamedPlaylist]:
        """Yield the same playlists without the tables, which have no names."""
        return with_playlists(self._read(), self.path)

    def check_source(self) -> None:
        for table in self.params.tracks:
            self._rows(table)

    def fields_offered(self) -> set[str]:
        return {field for table in self.params.tracks for field in table.content_fields()}

    def id_scheme(self) -> str:
        """Return the scheme of ids that have none."""
        return "local"

    def _rows(self, table: ContentTable) -> RowFile:
        """Return the open table. Raises `InputError` for a missing column."""
        file = open_rows(table, self.path if self.path.is_dir() else self.path.parent, self.bad)
        check_columns(file, table)
        return file

    def _with_content(self) -> Iterator[Record]:
        tables, known = [(table, self._rows(table)) for table in self.params.tracks], dict[str, None]()
        for record in self._read():
            known.update(dict.fromkeys((record.id,) if isinstance(record, TrackRecord) else record.tracks))
            yield record
        for table, file in tables:
            yield from self._content(table, file, known)

    def _content(self, table: ContentTable, file: RowFile, known: dict[str, None]) -> Iterator[TrackRecord]:
        """Yield a record without names for each row of a known track. Raises `InputError` if there is none."""
        origin = TrackOrigin(scheme=self.id_scheme(), source=table.source, train_allowed=table.train_allowed)
        parser = ContentParser(table, file.path.parent, origin, self.bad, self.files, self.kind)
        first, example, matched = FirstRows(self.doubles), None, False
        for where, row in named_rows(file, table):
            identifier = parser.identifier(row, where)
            if identifier is None:
                continue
            track = recognised(identifier) or identifier
            if track in known:
                matched = True
                yield from first(TrackRecord(track, fields=parser.fields(row, where)), where)
            elif example is None:
                example = id_text(row.get(table.track))
        if known and not matched:
            raise _nothing_matched(file.path, table.track, example, next(iter(known)))


def _nothing_matched(path: Path, column: str, example: str | None, track: str) -> InputError:
    if example is None:
        return InputError(f"{path} has no track in column {column!r}: set tracks.file to a table with tracks")
    return InputError(
        f"{path} has no track of the playlists: column {column!r} has ids such as {shortened(example)}, and the tracks"
        f" have ids such as {shortened(track)}: set tracks.track to the column with these ids"
    )

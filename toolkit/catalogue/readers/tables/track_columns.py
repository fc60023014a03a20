"""Conversion of table rows and JSON objects to tracks, by column or key names."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field as Option
from pydantic import model_validator

from toolkit.catalogue.image_check import flaw, read_file
from toolkit.catalogue.named_files import NamedFiles
from toolkit.catalogue.readers.ids import qualified
from toolkit.catalogue.readers.open_files import Bad
from toolkit.catalogue.readers.reader import ReaderParams, shortened
from toolkit.catalogue.readers.tables.delimited import check_column, number_or_nan, stripped
from toolkit.catalogue.records import LARGEST, Field, FieldValue, TrackRecord

Row = Mapping[str, object]

NAMES = ("title", "artist", "artist_id", "album", "album_id", "duration")
"""Options that name a column; also the attributes of a track record."""

CONTENT = ("title", "duration")
"""Those of `NAMES` that describe the track alone."""


PLAYLIST_FIELDS: dict[str, str] = Option(
    default={}, description="fields of the playlist, {name: column}; `evaluation.slices` can group results by them"
)


class TrackOrigin(ReaderParams):
    """Options of readers with track tables, for the id scheme and the source of values."""

    scheme: str = Option("local", pattern=r"^[A-Za-z][\w+.-]+$", description="put before ids that have none")
    source: str = "table"
    train_allowed: bool | None = None


class ContentColumns(ReaderParams):
    """Names of the columns or keys with the content of tracks."""

    track: str = Option("track_id", description="the track's id")
    features: dict[str, list[str]] | list[str] = Option(
        default={}, description="numeric columns, one field `features`, or {field: columns}"
    )
    fields: dict[str, str] = Option({}, description="texts, {field: column}")
    images: dict[str, str] = Option({}, description="image files, {field: column}, relative to the table")
    audio: dict[str, str] = Option({}, description="audio files, {field: column}, relative to the table")

    def vectors(self) -> dict[str, list[str]]:
        """Return the columns of each feature field."""
        if isinstance(self.features, dict):
            return self.features
        return {"features": self.features} if self.features else {}

    def named_columns(self) -> dict[str, str]:
        """Return the option of each column that is set by the user."""
        named: dict[str, str] = {}
        for option in ("fields", "images", "audio"):
            named |= {column: f"{option}.{name}" for name, column in getattr(self, option).items()}
        return named | {column: f"features.{name}" for name, columns in self.vectors().items() for column in columns}

    def content_fields(self) -> set[str]:
        """Return the names of the fields."""
        return {*self.fields, *self.vectors(), *self.images, *self.audio}

    def check(self, header: Collection[str], where: Path) -> None:
        """Raise `InputError` for a column that is set but missing in the table."""
        for column, option in self.named_columns().items():
            check_column(where, header, option, column)


class TrackColumns(ContentColumns):
    """Names of columns or keys. An unset option means the column with the name of the option, if it exists."""

    title: str | None = None
    artist: str | None = Option(None, description="one name, several joined by `artist_separator`, or a JSON list")
    artist_id: str | None = None
    album: str | None = None
    album_id: str | None = None
    duration: str | None = None
    duration_unit: Literal["s", "ms"] = "s"
    artist_separator: str = Option(";", min_length=1)

    def named_columns(self) -> dict[str, str]:
        named = {getattr(self, option): option for option in NAMES if getattr(self, option)}
        return named | super().named_columns()

    def name_columns(self) -> set[str]:
        """Return the columns of `NAMES`, which a table may have."""
        return {getattr(self, option) or option for option in NAMES}

    def content_columns(self, header: Collection[str] | None = None) -> dict[str, tuple[str, ...]]:
        """Return the columns of a table that become content of tracks, with the options that name each.

        - header: columns of the table; None if any column may be in it.

        Names and ids of artists and albums are not included, because all tracks in the folder of an album share them.
        """
        names = {option: getattr(self, option) or option for option in NAMES}
        exempt = {self.track, *(column for option, column in names.items() if option not in CONTENT)}
        pairs = [(names[option], option) for option in CONTENT]
        for option in ("fields", "images", "audio"):
            pairs += [(column, f"{option}.{name}") for name, column in getattr(self, option).items()]
        pairs += [(column, f"features.{name}") for name, columns in self.vectors().items() for column in columns]
        chosen = [pair for pair in pairs if pair[0] not in exempt and (header is None or pair[0] in header)]
        return {column: tuple(option for name, option in chosen if name == column) for column, _ in chosen}

    def offered(self, header: Collection[str]) -> set[str]:
        """Return the names of fields of tracks in a table with this header."""
        names = {option for option in NAMES if (getattr(self, option) or option) in header}
        return names | self.content_fields()

    def describes(self, header: Collection[str]) -> bool:
        """Return whether a table describes tracks beyond ids."""
        return bool(self.named_columns()) or any(name in header for name in NAMES)


class TableFile(ReaderParams):
    """Second file with one track per row or line: CSV, TSV, JSON Lines, Parquet or SQLite, by its suffix."""

    file: Path
    table: str | None = Option(None, description="name of the table, in an SQLite database with several")


class TrackTable(TrackColumns, TableFile):
    """Second file with one track per row or line, which describes tracks."""


class ContentTable(ContentColumns, TableFile):
    """Second file with one track per row or line, with content of tracks that the data has."""

    source: str = "table"
    train_allowed: bool | None = Option(None, description="whether the terms of the content allow training")

    @model_validator(mode="after")
    def _content(self) -> ContentTable:
        if not self.content_fields():
            raise ValueError(
                f"file={str(self.file)!r} requires the columns to read: set `fields`, `features`, `images` or `audio`"
            )
        return self


@dataclass(frozen=True)
class ContentParser:
    """Parser from rows to ids and content. A bad cell is reported to `bad`, and dropped if records are skipped.

    - folder: base of paths in cells.
    - files: list of the files that cells name.
    - kind: kind in ids (`scheme:kind:…`), or empty for `scheme:…`.
    """

    columns: ContentColumns
    folder: Path
    origin: TrackOrigin
    bad: Bad
    files: NamedFiles
    kind: str = ""

    def identifier(self, row: Row, where: str) -> str | None:
        """Return the id of the track of a row, or None without one."""
        cell = row.get(self.columns.track)
        if (fault := id_fault(cell)) is not None:
            self.bad(where, f"{self.columns.track!r}{fault}")
            return None
        if (identifier := id_text(cell)) is None:
            self.bad(where, f"must have a value for {self.columns.track}")
            return None
        return qualified(identifier, self.origin.scheme, self.kind)

    def fields(self, row: Row, where: str) -> dict[str, Field]:
        """Return the content of a row."""
        columns, origin = self.columns, self.origin
        if not (columns.fields or columns.features or columns.images or columns.audio):
            return {}
        values: list[tuple[str, FieldValue | None]] = [
            *((name, self._cell(row, column, where)) for name, column in columns.fields.items()),
            *((name, feature_vector(row, several, where, self.bad)) for name, several in columns.vectors().items()),
            *((name, self._image(row, column, where)) for name, column in columns.images.items()),
            *((name, self._content(row, column, where)) for name, column in columns.audio.items()),
        ]
        source, allowed = origin.source, origin.train_allowed
        return {name: Field(value, source, train_allowed=allowed) for name, value in values if value is not None}

    def _file(self, name: str | None, where: str) -> Path | None:
        if name is None:
            return None
        file = self.folder / name
        if not self.files.exists(file):
            self.bad(where, f"file {shortened(name)} does not exist")
            return None
        return file

    def _content(self, row: Row, column: str, where: str) -> bytes | Path | None:
        """Return a file path, or the bytes if the cell contains them."""
        value = row.get(column)
        return value if isinstance(value, bytes) else self._file(self._cell(row, column, where), where)

    def _image(self, row: Row, column: str, where: str) -> bytes | None:
        content = self._content(row, column, where)
        if content is None:
            return None
        name = row[column] if isinstance(content, Path) else column
        try:
            data = self.files.read(content, read_file) if isinstance(content, Path) else content
        except OSError as error:
            self.bad(where, f"cover {shortened(name)} cannot be read ({error.strerror})")
            return None
        if (fault := flaw(data)) is not None:
            self.bad(where, f"cover {shortened(name)} {fault}")
            return None
        return data

    def _cell(self, row: Row, column: str, where: str) -> str | None:
        value = row.get(column)
        if (fault := text_fault(value)) is not None:
            self.bad(where, f"{column!r}{fault}")
            return None
        return cell_text(value)


@dataclass(frozen=True)
class TrackParser(ContentParser):
    """Parser from rows to track records."""

    columns: TrackColumns

    def record(self, row: Row, where: str) -> TrackRecord | None:
        """Return the track of a row, or None without an id."""
        if (identifier := self.identifier(row, where)) is None:
            return None
        album_id, scheme = self._text(row, "album_id", where), self.origin.scheme
        return TrackRecord(
            identifier,
            self._text(row, "title", where),
            tuple(self._names(row, "artist", where)),
            tuple(qualified(name, scheme, "artist") for name in self._names(row, "artist_id", where)),
            self._text(row, "album", where),
            album_id and qualified(album_id, scheme, "album"),
            self._duration(row, where),
            self.fields(row, where),
            self.origin.source,
            self.origin.train_allowed,
        )

    def _text(self, row: Row, option: str, where: str) -> str | None:
        return self._cell(row, getattr(self.columns, option) or option, where)

    def _names(self, row: Row, option: str, where: str) -> list[str]:
        column = getattr(self.columns, option) or option
        value = row.get(column)
        if not isinstance(value, list):
            parts: Sequence[object] = (self._cell(row, column, where) or "").split(self.columns.artist_separator)
        elif fault := next(filter(None, map(text_fault, value)), None):
            self.bad(where, f"{column!r}{fault}")
            return []
        else:
            parts = value
        return [name for part in parts if (name := cell_text(part))]

    def _duration(self, row: Row, where: str) -> float | None:
        text = self._text(row, "duration", where)
        number = _number(text) if text is not None else None
        if text is not None and (number is None or not 0 <= number <= LARGEST):
            self.bad(where, f"duration {shortened(text)} must be a number >= 0")
            return None
        return number / 1000 if number is not None and self.columns.duration_unit == "ms" else number


def feature_vector(row: Row, columns: Sequence[str], where: str, bad: Bad) -> list[float] | None:
    """Return the numbers in several cells, which may contain JSON lists, or None if all are empty.

    The record is bad if some cells are empty or are not finite float32 numbers.
    """
    values = [row.get(column) for column in columns]
    cells = [cell for value in values for cell in (value if isinstance(value, list) else [value])]
    if all(cell_text(cell) is None for cell in cells):
        return None
    numbers = [_number(cell) for cell in cells]
    for cell, number in zip(cells, numbers, strict=True):
        if number is None or abs(number) > LARGEST:
            bad(
                where,
                f"feature {shortened(cell)} of {', '.join(columns)} must be a finite number within ±{LARGEST:.1e}",
            )
            return None
    return [number for number in numbers if number is not None]


def text_fault(value: object) -> str | None:
    """Return the fault of a JSON value that must be text, or None for text, numbers and null."""
    if not isinstance(value, list | dict | bool):
        return None
    return f"={shortened(value)} must be text or a number: set the option to another key"


def id_fault(value: object) -> str | None:
    """Return the fault of a JSON value that must be an id, or None. A number must be whole and exact."""
    if isinstance(value, float) and not (value.is_integer() and abs(value) < 2**53):
        return f"={shortened(value)} must be text or a whole number within ±2^53 for an id"
    return text_fault(value)


def id_text(value: object) -> str | None:
    """Return an id as text, or None if empty. `1.0` is `1`, because JSON has one kind of number."""
    return cell_text(int(value) if isinstance(value, float) else value)


def cell_text(value: object) -> str | None:
    """Return a cell without blanks around it, or None if empty."""
    return None if value is None else stripped(str(value)) or None


def _number(value: object) -> float | None:
    """Return a finite number, or None."""
    number = number_or_nan(value if isinstance(value, str | int | float) else str(value))
    return number if math.isfinite(number) else None

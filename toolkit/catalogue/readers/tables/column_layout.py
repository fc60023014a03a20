"""Meaning of Arrow table columns by reader options, with type checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from toolkit.catalogue.readers.tables import column_types
from toolkit.catalogue.readers.tables.delimited import check_column, optional_column
from toolkit.catalogue.readers.tables.placement_columns import PlacementColumns
from toolkit.catalogue.readers.tables.track_columns import NAMES, TrackColumns
from toolkit.errors import InputError

LISTS = ("tracks", "track_ids")
"""Columns that may hold a playlist's list of tracks, without the option `track` and a column `track_id`."""


@dataclass(frozen=True)
class Layout:
    """Columns by meaning, or None for missing columns.

    - lists: whether a row is a playlist with a list of tracks.
    - about: columns that describe the playlist, in the order of `record_blocks.ABOUT`.
    - fields: playlist fields, as (name, column).
    - described: columns that describe tracks, without ids. If rows are playlists, these columns contain lists.
    """

    playlist: str
    track: str
    lists: bool
    position: str | None
    time: str | None
    about: tuple[str | None, ...]
    fields: tuple[tuple[str, str], ...]
    described: tuple[str, ...]

    @property
    def of_rows(self) -> list[str]:
        """Return the columns required to read playlist entries."""
        fields = (column for _, column in self.fields)
        chosen = (self.playlist, self.track, self.position, self.time, *self.about, *fields)
        return list(dict.fromkeys(name for name in chosen if name is not None))


def layout(params: PlacementColumns, schema: pa.Schema, path: Path) -> Layout:
    """Return the columns of a playlist table. Raises `InputError` for a missing column or wrong type."""
    header = list(schema.names)
    check_unique_names(header, path)
    track = params.track
    if track not in header and "track" not in params.model_fields_set:
        track = next(
            (
                name
                for name in LISTS
                if name in header and column_types.is_list(column_types.inner(schema.field(name).type))
            ),
            track,
        )
    check_column(path, header, "playlist", params.playlist)
    check_column(path, header, "track", track)
    lists = column_types.is_list(column_types.inner(schema.field(track).type))
    position = optional_column(path, header, "position", params.position, "position" if "position" in header else "pos")
    if lists and params.position is None and position is not None and not _is_list(schema, position):
        position = None  # a position of the playlist, not of its tracks
    title = "playlist_title"
    if lists and title not in header and "title" in header and not _is_list(schema, "title") and params.title is None:
        title = "title"
    found = Layout(
        params.playlist,
        track,
        lists,
        position,
        optional_column(path, header, "time", params.time),
        (
            optional_column(path, header, "playlist_title", params.playlist_title, title),
            *(
                optional_column(path, header, option, getattr(params, option), option)
                for option in ("description", "group", "split")
            ),
        ),
        tuple(params.playlist_fields.items()),
        described(params, schema, path, only_lists=lists),
    )
    for name, column in found.fields:
        check_column(path, header, f"playlist_fields.{name}", column)
    _check(found, params, schema, path)
    return found


def described(params: TrackColumns, schema: pa.Schema, path: Path, *, only_lists: bool = False) -> tuple[str, ...]:
    """Return columns that describe tracks; `only_lists` means that each row has a list of tracks."""
    header = list(schema.names)
    params.check(header, path)
    rules: list[tuple[str, str, Callable[[pa.DataType], bool], str]] = []
    for option in NAMES:
        named = getattr(params, option)
        if named is not None or (option in header and (not only_lists or _is_list(schema, option))):
            several = option in ("artist", "artist_id")
            rule = column_types.is_names if several else column_types.is_plain
            rules.append((option, named or option, rule, "texts or numbers"))
    rules += [
        (f"fields.{name}", column, column_types.is_plain, "texts or numbers") for name, column in params.fields.items()
    ]
    rules += [
        (f"features.{name}", column, column_types.is_vector, "numbers or lists of them")
        for name, listed in params.vectors().items()
        for column in listed
    ]
    for option in ("images", "audio"):
        rules += [
            (f"{option}.{name}", column, column_types.is_file, "paths or bytes")
            for name, column in getattr(params, option).items()
        ]
    for option, column, fits, what in rules:
        check_type(path, schema, option, column, fits, what, inside=only_lists)
    return tuple(dict.fromkeys(column for _, column, _, _ in rules))


def _check(found: Layout, params: PlacementColumns, schema: pa.Schema, path: Path) -> None:
    """Check the types of the columns that define playlists."""
    fits = column_types.is_plain
    check_type(path, schema, "track", found.track, fits, "texts or whole numbers", inside=found.lists)
    if found.position is not None:
        check_type(path, schema, "position", found.position, fits, "numbers", inside=found.lists)
    options = ("playlist", "playlist_title", "description", "group", "split")
    for option, name in zip(options, (found.playlist, *found.about), strict=True):
        if name is not None:
            check_type(path, schema, option, name, fits, "texts or numbers")
    for field, column in found.fields:
        check_type(path, schema, f"playlist_fields.{field}", column, fits, "texts or numbers")
    if found.time is not None:
        inside = found.lists and _is_list(schema, found.time)
        what = "timestamps, dates, texts or numbers"
        check_type(path, schema, "time", found.time, column_types.is_moment, what, inside=inside)


def check_type(
    path: Path,
    schema: pa.Schema,
    option: str,
    column: str,
    fits: Callable[[pa.DataType], bool],
    what: str,
    *,
    inside: bool = False,
) -> None:
    """Raise `InputError` for a wrong column type; `inside` checks the type of list entries."""
    shown = f"{path}, column {column!r} (option {option}) holds"
    kind = schema.field(column).type
    if inside:
        kind = column_types.inner(kind)
        if not column_types.is_list(kind):
            raise InputError(
                f"{shown} {column_types.kind_of(kind)} and must hold lists like the tracks: convert the column"
            )
        kind = kind.value_type
    if not fits(kind):
        raise InputError(f"{shown} {column_types.kind_of(kind)} and must hold {what}: convert the column")


def _is_list(schema: pa.Schema, name: str) -> bool:
    return column_types.is_list(column_types.inner(schema.field(name).type))


def check_unique_names(header: Sequence[str], path: Path) -> None:
    """Raise `InputError` for a repeated column name."""
    if repeated := next((name for place, name in enumerate(header) if name in header[:place]), None):
        raise InputError(f"{path}: column name {repeated!r} must be unique: rename a column")

"""Column options for tables with one playlist entry per row."""

from __future__ import annotations

from pydantic import Field as Option

from toolkit.catalogue.readers.tables.track_columns import PLAYLIST_FIELDS, TrackColumns, TrackOrigin


class PlacementColumns(TrackColumns, TrackOrigin):
    """Columns of a playlist table, with `title` of the track and `playlist_title` of the playlist."""

    playlist: str = "playlist_id"
    position: str | None = Option(
        None, description="default: `position` or `pos` where there is one, else the time or the order of the rows"
    )
    time: str | None = Option(
        None, description="when the row's track was added or played: ISO 8601, or seconds since 1970"
    )
    playlist_title: str | None = None
    description: str | None = None
    group: str | None = None
    split: str | None = None
    playlist_fields: dict[str, str] = PLAYLIST_FIELDS

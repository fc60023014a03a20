"""Columns of a table that holds one placement a row, whatever the file's format."""

from __future__ import annotations

from pydantic import Field as Option

from toolkit.catalogue.readers.tables.track_columns import TrackColumns, TrackOrigin


class PlacementColumns(TrackColumns, TrackOrigin):
    """Columns of the playlists' table; `title` and the like are the track's, `playlist_title` the playlist's."""

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

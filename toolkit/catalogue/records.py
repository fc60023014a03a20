"""Records of tracks and playlists that readers yield.

They are msgspec structs: creating one takes a tenth of the time of a frozen dataclass, and there may be millions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from toolkit.timestamps import NO_TIME

FieldValue = str | list[float] | bytes | Path
"""Text, a feature vector, or an image/audio file as bytes or path."""

LARGEST = 3.4028234663852886e38
"""The largest float32. Vectors are stored as float32, where a larger number would become infinite."""

SMALLEST = 1e-37
"""The smallest play count. Below the smallest float32 (1.2e-38), a count would become 0."""


LONGEST_PLAYLIST = 2_000_000
"""Maximum number of tracks of a playlist. All of them are in memory. Services allow about 100,000."""


class Field(msgspec.Struct, frozen=True):
    """Field value of a track with its source.

    - entity: track, artist or album. Fields of artists and albums are stored once for all their tracks.
    - train_allowed: None if the terms do not say. Training then requires `permission` in the recipe.
    """

    value: FieldValue
    source: str = ""
    entity: str = "track"
    match_score: float | None = None
    train_allowed: bool | None = None


TrackField = Field
"""Name of `Field` in `segue.plugin`, which avoids confusion with `Field` of pydantic."""


class TrackRecord(msgspec.Struct, frozen=True):
    """Track with an id that has a scheme (`spotify:track:…`, `local:…`).

    - source, train_allowed: as in `Field`, for names and duration.
    """

    id: str
    title: str | None = None
    artists: tuple[str, ...] = ()
    artist_ids: tuple[str, ...] = ()
    album: str | None = None
    album_id: str | None = None
    duration_s: float | None = None
    fields: dict[str, Field] = {}
    source: str = ""
    train_allowed: bool | None = None


class PlaylistRecord(msgspec.Struct, frozen=True):
    """Playlist with ordered track ids.

    - group: id of the playlist of which this is a version. Versions are always in the same part of a split and
      are resampled together.
    - split: `train`, `valid` or `test` if the file prescribes it.
    - plays: play count of each track, from readers with `counts=True`, in which tracks are unique. Counts are stored
      as float32 and are from `SMALLEST` to `LARGEST`.
    - times, time: seconds since 1970 (`toolkit.timestamps`) at which each track was added or played, or the time of the
      playlist if only that is known.
    - fields: further values of the playlist by name, such as its genre, or None.
    """

    id: str
    tracks: list[str]
    title: str | None = None
    description: str | None = None
    group: str | None = None
    split: str | None = None
    plays: list[float] | None = None
    times: list[int] | None = None
    time: int = NO_TIME
    fields: dict[str, str | None] = {}


Record = TrackRecord | PlaylistRecord

Names = tuple[list[str | None], list[str | None], list[str | None]]
"""Titles, artists and albums of some tracks, as shown to people."""


class NamedPlaylist(msgspec.Struct, frozen=True):
    """Playlist with a function `names` from positions (from 0) to track names."""

    playlist: PlaylistRecord
    names: Callable[[Sequence[int]], Names]

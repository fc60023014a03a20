"""Records of a reader: tracks and playlists, in the order of the file.

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


class Field(msgspec.Struct, frozen=True):
    """One described aspect of a track, with its source.

    - entity: track, artist or album. An artist's biography and an album's cover are stored once, for all their tracks.
    - train_allowed: None if the source does not say. Training then needs `permission` in the recipe.
    """

    value: FieldValue
    source: str = ""
    entity: str = "track"
    match_score: float | None = None
    train_allowed: bool | None = None


TrackField = Field
"""Its name in `segue.plugin`, where pydantic's `Field` is next to it in every file."""


class TrackRecord(msgspec.Struct, frozen=True):
    """A track as a file describes it. `id` has a scheme (`spotify:track:…`, `local:…`).

    - source, train_allowed: as in `Field`, of the track's names and duration.
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
    """An ordered list of track ids.

    - group: the playlist of which this list is a version. Lists of one group are never on both sides of a split and
      are resampled together.
    - split: `train`, `valid` or `test` if the file prescribes it.
    - plays: how often each track was played, from readers whose `counts` is true; they name each track once.
    - times: when each track was added or played, seconds since 1970 (`toolkit.timestamps`). time: the time of the whole
      list, if only that is known.
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


Record = TrackRecord | PlaylistRecord

Names = tuple[list[str | None], list[str | None], list[str | None]]
"""Titles, artists and albums of some tracks, as shown to people."""


class NamedPlaylist(msgspec.Struct, frozen=True):
    """A playlist with a function that reads names of its tracks: names(positions in the list, from 0)."""

    playlist: PlaylistRecord
    names: Callable[[Sequence[int]], Names]

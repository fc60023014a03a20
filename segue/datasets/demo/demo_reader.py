"""Reader of the demo catalogue, which generates tracks and playlists instead of reading a file."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np

from segue.datasets.demo.covers import cover
from segue.datasets.demo.demo_audio import audio
from segue.datasets.demo.demo_params import DemoParams, Part
from segue.datasets.demo.demo_story import Story
from segue.datasets.demo.lists import STATIONS
from segue.datasets.demo.names import album_names, artist_names, track_titles
from segue.datasets.demo.sound import audio_features, duration
from segue.datasets.demo.tastes import shares
from segue.datasets.demo.words import biography, lyrics, playlist_title, tags
from toolkit.catalogue.readers.reader import OnError, Reader
from toolkit.catalogue.readers.tables.track_columns import NAMES
from toolkit.catalogue.records import Field, FieldValue, PlaylistRecord, Record, TrackRecord
from toolkit.packages import PILLOW, check_installed

ENTITY: dict[Part, str] = {
    "audio_features": "track",
    "lyrics": "track",
    "biography": "artist",
    "cover": "album",
    "signal_free": "track",
    "audio": "track",
    "tags": "artist",
}
NOISE = 11  # numbers of the field that says nothing: as many as there are audio features


class DemoReader(Reader):
    """Generates the demo catalogue of tracks and playlists from known latent variables.

    The records are those of `Story(params)`, and `path` is ignored. The split is part of the story: new releases are
    only in `valid` and `test`. The source of every field is `demo`, and training on every field is allowed.
    """

    name = "demo"
    needs_path = False
    upper_bound = "upper-bound"
    Params = DemoParams

    def __init__(self, path: Path = Path("."), params: DemoParams | None = None, *, on_error: OnError = "stop") -> None:
        super().__init__(path, params, on_error=on_error)
        self.story = Story(params)
        self.parts: list[Part] = list(self.story.params.fields)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return False, because the demo catalogue is not a file and is selected by name."""
        return False

    def read(self) -> Iterator[Record]:
        """Yield every track, album by album, then every playlist.

        Raises `MissingPackage` if covers are requested and Pillow is not installed.
        """
        if "cover" in self.parts:
            check_installed("`cover` of the demo's `fields`", (PILLOW,))
        yield from self._tracks()
        yield from self._playlists()

    def brief(self) -> Iterator[Record]:
        """Yield the same tracks and playlists without fields and without drawing covers."""
        plain = copy(self)
        plain.parts = []
        return plain.read()

    def fields_offered(self) -> set[str]:
        return {*NAMES, *self.parts}

    def _tracks(self) -> Iterator[TrackRecord]:
        world = self.story.world
        for _, tracks in groupby(range(world.n_tracks), key=lambda track: int(world.track_album[track])):
            first, *rest = tracks
            shared = self._shared_fields(first)
            for track in (first, *rest):
                yield self._track(track, shared)

    def _track(self, track: int, shared: dict[str, Field]) -> TrackRecord:
        world = self.story.world
        artist, album = int(world.track_artist[track]), int(world.track_album[track])
        return TrackRecord(
            self.story.track_id(track),
            title=self._titles[track],
            artists=(self._artists[artist],),
            artist_ids=(f"demo:artist:{artist}",),
            album=self._albums[album],
            album_id=f"demo:album:{album}",
            duration_s=duration(float(world.style[track]), self.story.streams.of("durations", track)),
            fields={**self._own_fields(track), **shared},
        )

    def _own_fields(self, track: int) -> dict[str, Field]:
        taste, style = self.story.world.taste[track], float(self.story.world.style[track])
        fields = {}
        if "audio_features" in self.parts:
            fields["audio_features"] = _field(
                "audio_features", audio_features(taste, style, self._stream("audio_features", track))
            )
        if "lyrics" in self.parts and not self._is_missing(
            "lyrics", track, 0.05 + 0.2 * shares(taste, "family").get("electronic", 0.0)
        ):
            fields["lyrics"] = _field("lyrics", lyrics(taste, style, self._stream("lyrics", track)))
        if "signal_free" in self.parts:
            fields["signal_free"] = _field(
                "signal_free", self._stream("signal-free", track).normal(size=NOISE).round(4).tolist()
            )
        if "audio" in self.parts:
            fields["audio"] = _field("audio", audio(taste, style, self._stream("audio", track)))
        return fields

    def _shared_fields(self, track: int) -> dict[str, Field]:
        """Return the fields that a track shares with all tracks of the same artist or album."""
        world = self.story.world
        artist, album = int(world.track_artist[track]), int(world.track_album[track])
        fields = {}
        if "biography" in self.parts and not self._is_missing("biography", artist, 0.15):
            style = float(world.artist_style[artist])
            text = biography(
                self._artists[artist], world.artist_taste[artist], style, self._stream("biography", artist)
            )
            fields["biography"] = _field("biography", text)
        if "tags" in self.parts and not self._is_missing("tags", artist, 0.1):
            text = tags(world.artist_taste[artist], float(world.artist_style[artist]), self._stream("tags", artist))
            fields["tags"] = _field("tags", text)
        if "cover" in self.parts and not self._is_missing("cover", album, 0.1):
            own = world.track_album == album
            picture = cover(world.taste[own].mean(axis=0), float(world.style[own].mean()), self._stream("cover", album))
            fields["cover"] = _field("cover", picture)
        return fields

    def _playlists(self) -> Iterator[PlaylistRecord]:
        lists = self.story.lists
        for p, tracks in enumerate(lists.tracks):
            style = float(lists.start[p] + lists.stop[p]) / 2 / (STATIONS - 1)
            yield PlaylistRecord(
                self.story.playlist_id(p),
                [self.story.track_id(track) for track in tracks.tolist()],
                title=playlist_title(lists.mix[p], style, self._stream("playlist-titles", p)),
                split=str(lists.split[p]),
            )

    def _stream(self, name: str, index: int) -> np.random.Generator:
        return self.story.streams.of(name, index)

    def _is_missing(self, part: Part, index: int, chance: float) -> bool:
        return bool(self.story.streams.of("missing", part, index).random() < chance)

    @cached_property
    def _artists(self) -> list[str]:
        return artist_names(self.story.params.artists, self.story.streams.of("artist-names"))

    @cached_property
    def _albums(self) -> list[str]:
        return album_names(self.story.world, self.story.streams.of("album-names"))

    @cached_property
    def _titles(self) -> list[str]:
        return track_titles(self.story.world, self.story.streams.of("track-titles"))


def _field(part: Part, value: FieldValue) -> Field:
    return Field(value, source="demo", entity=ENTITY[part], train_allowed=True)

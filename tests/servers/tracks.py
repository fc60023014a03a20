"""Fictional tracks with fixed ids for the servers of shops and lyrics sites."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from tests.servers.music import words

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base62(*name: str) -> str:
    """Return a Spotify id derived from the name."""
    number, digits = int.from_bytes(hashlib.sha256("/".join(name).encode()).digest()[:16]), ""
    for _ in range(22):
        number, place = divmod(number, 62)
        digits += BASE62[place]
    return digits


def number(*name: str) -> int:
    """Return a numeric id, as used by Deezer, Apple and Genius."""
    return int.from_bytes(hashlib.sha256("/".join(name).encode()).digest()[:4])


@dataclass(frozen=True)
class Track:
    """Track with audio features by name and lyrics by line, or None where they are missing."""

    title: str
    artist: str
    album: str = "First Album"
    duration_s: float = 200.0
    isrc: str | None = None
    features: dict[str, float] = field(default_factory=dict)
    lyrics: tuple[str, ...] | None = None
    instrumental: bool = False
    preview: bool = True

    @cached_property
    def spotify(self) -> str:
        return base62("track", self.artist, self.title, str(self.duration_s))

    @cached_property
    def album_id(self) -> str:
        return base62("album", self.artist, self.album)

    @cached_property
    def number(self) -> int:
        return number(self.artist, self.title, str(self.duration_s))

    @cached_property
    def album_number(self) -> int:
        return number("album", self.artist, self.album)

    def __hash__(self) -> int:
        return hash((self.title, self.artist, self.duration_s))


FEATURES: dict[str, float] = {
    "danceability": 0.585,
    "energy": 0.842,
    "key": 0,
    "loudness": -5.883,
    "mode": 0,
    "speechiness": 0.0556,
    "acousticness": 0.00242,
    "instrumentalness": 0.00686,
    "liveness": 0.0866,
    "valence": 0.428,
    "tempo": 118.211,
}


@lru_cache(maxsize=4)
def wave(hertz: float = 440.0, seconds: float = 3.0) -> bytes:
    """Return a tone as a WAV file."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(
        file, 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(22050 * seconds)) / 22050), 22050, format="WAV"
    )
    return file.getvalue()


@lru_cache(maxsize=8)
def jpeg(shade: int = 90, side: int = 64) -> bytes:
    """Return a single-colour cover as a JPEG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (side, side), (shade, 80, 160)).save(file, format="JPEG")
    return file.getvalue()


def found(tracks: Any, wanted: str) -> list[Track]:
    """Return tracks that contain all words of the search in title or artist."""
    return [
        track for track in tracks if set(words(wanted)) <= set(words(f"{track.title} {track.artist} {track.album}"))
    ]

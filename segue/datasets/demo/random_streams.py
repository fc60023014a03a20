"""Independent random streams by name. Adding a stream does not change the draws of the others."""

from __future__ import annotations

import numpy as np

from toolkit.errors import SegueError
from toolkit.seeds import derived_seed

USED = (
    "artists",
    "discographies",
    "tracks",
    "popularity",
    "new-releases",
    "splits",
    "lengths",
    "mixes",
    "paths",
    "placements",
    "bound",
    "artist-names",
    "album-names",
    "track-titles",
    "playlist-titles",
    "durations",
    "missing",
    "audio_features",
    "lyrics",
    "biography",
    "cover",
    "signal-free",
    "audio",
    "tags",
)

RESERVED = ("links", "plays")  # for later: linked entities with their triples, and play counts by user


class Streams:
    """Random generators by name, or by name and index for values drawn on demand."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def of(self, name: str, *index: int | str) -> np.random.Generator:
        """Return a new generator at the start of stream `name`, optionally for entity `index`."""
        if name not in USED and name not in RESERVED:
            raise SegueError(f"stream {name!r} must be one of {', '.join(USED + RESERVED)}")
        return np.random.default_rng(derived_seed(self.seed, "demo", name, *index))

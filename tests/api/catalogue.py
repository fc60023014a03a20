"""Small playlist files with lyrics and audio features, and vectors of their tracks."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

TRACKS, PLAYLISTS = 120, 90
WORDS = ["love", "night", "river", "fire", "road", "moon", "dance", "rain", "summer", "gold", "city", "heart"]


def write(path: Path) -> None:
    """Write playlists of four moods. Lyrics and features depend on the mood."""
    rng = np.random.default_rng(0)
    mood = np.arange(TRACKS) % 4
    lyrics = [" ".join(rng.choice(WORDS[3 * each : 3 * each + 3], 12)) for each in mood]
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["playlist_id", "track_id", "lyrics", "tempo", "energy"])
        for playlist in range(PLAYLISTS):
            own = np.flatnonzero(mood == playlist % 4)
            for track in rng.permutation(own)[: rng.integers(12, 22)]:
                rows.writerow(
                    [
                        playlist,
                        f"t{track + 1}",
                        lyrics[track],
                        90 + 10 * int(mood[track]),
                        round(float(mood[track]) / 4, 2),
                    ]
                )


def vectors() -> tuple[list[str], np.ndarray]:
    """Return ids and vectors float32 [n, 6] of mood and noise."""
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(TRACKS, 6)).astype(np.float32)
    matrix[np.arange(TRACKS), np.arange(TRACKS) % 4] += 3
    return [f"t{track + 1}" for track in range(TRACKS)], matrix

"""Audio features with Spotify's names and ranges, drawn from a track's tastes and style."""

from __future__ import annotations

import numpy as np

from segue.datasets.demo.tastes import shares
from toolkit.constants import AUDIO_FEATURES

#                         dance energy key loud  mode speech acoust instr live  val   tempo
MEANS = {
    "acoustic": np.array([0.45, 0.35, 5.5, -13.0, 0.7, 0.05, 0.75, 0.10, 0.20, 0.45, 100.0]),
    "band": np.array([0.60, 0.60, 5.5, -8.0, 0.7, 0.06, 0.30, 0.06, 0.20, 0.60, 118.0]),
    "electronic": np.array([0.68, 0.62, 5.5, -9.5, 0.4, 0.07, 0.12, 0.60, 0.12, 0.45, 122.0]),
    "loud": np.array([0.45, 0.82, 5.5, -5.5, 0.5, 0.09, 0.06, 0.15, 0.28, 0.40, 136.0]),
}
SLOPE = np.array([0.15, 0.30, 0.0, 5.0, 0.0, 0.04, -0.25, -0.05, 0.10, 0.15, 36.0])
"""Ranges of the features, from hushed (style 0) to driving (style 1)."""

NOISE = np.array([0.10, 0.10, 0.0, 2.2, 0.0, 0.03, 0.13, 0.16, 0.09, 0.15, 10.0])
LOW = np.array([0.0, 0.0, 0, -60.0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 40.0])
HIGH = np.array([1.0, 1.0, 11, 0.0, 1, 1.0, 1.0, 1.0, 1.0, 1.0, 220.0])

KEY, MODE = AUDIO_FEATURES.index("key"), AUDIO_FEATURES.index("mode")


def audio_features(taste: np.ndarray, style: float, rng: np.random.Generator) -> list[float]:
    """Return the eleven features in the order of `AUDIO_FEATURES`. taste: float64 [K]; style: 0…1."""
    mean = sum(
        (share * MEANS[family] for family, share in shares(taste, "family").items()), np.zeros(len(AUDIO_FEATURES))
    )
    values = mean + (style - 0.5) * SLOPE + NOISE * rng.normal(size=len(AUDIO_FEATURES))
    values[KEY] = rng.integers(12)
    values[MODE] = rng.random() < mean[MODE]
    return [round(float(value), 4) for value in np.clip(values, LOW, HIGH)]


def duration(style: float, rng: np.random.Generator) -> float:
    """Return the length in seconds. Driving tracks are shorter."""
    return round(float(np.clip(rng.normal(245 - 60 * style, 40), 75, 540)), 1)

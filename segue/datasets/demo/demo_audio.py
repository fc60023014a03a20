"""Audio of the demo tracks: 16 seconds of four chords, with timbre by taste and with tempo and loudness by style."""

from __future__ import annotations

import io

import numpy as np

from segue.datasets.demo.tastes import pick

RATE, SECONDS = 11025, 16.0
STEPS = {True: (0, 2, 4, 5, 7, 9, 11), False: (0, 2, 3, 5, 7, 8, 10)}
"""Semitones of the major (True) and minor (False) scales."""
OVERTONES = {"acoustic": (6, 1.8), "band": (8, 1.2), "electronic": (12, 1.0), "loud": (8, 0.7)}
"""Number of partials, and the exponent of their decay."""
DECAY = {"acoustic": 4.0, "band": 2.0, "electronic": 0.3, "loud": 0.8}  # of a note, a second
DRUMS = {"acoustic": 0.0, "band": 0.5, "electronic": 0.3, "loud": 0.8}


def audio(taste: np.ndarray, style: float, rng: np.random.Generator) -> bytes:
    """Return a track's audio as a FLAC file, mono at 11,025 Hz. taste: float64 [K]; style: 0…1."""
    import soundfile

    family = pick(taste, rng).family
    beat = round(RATE * 60 / float(np.clip(rng.normal(85 + 75 * style, 6), 60, 190)))
    count = -(-round(RATE * SECONDS) // beat)
    chords = _chords(family, beat, major=bool(rng.random() < 0.6), root=float(rng.integers(12)), rng=rng)
    bars = chords[np.arange(count) // 4 % len(chords)]
    struck = bars + DRUMS[family] * np.stack([_drum(family, beat, rng) for _ in range(4)])[np.arange(count) % 4]
    whole = struck.ravel()[: round(RATE * SECONDS)]
    if family == "loud":
        whole = np.tanh(4 * whole)
    level = 0.05 + 0.35 * style + rng.normal(0, 0.02)
    whole = whole / np.sqrt(np.square(whole).mean()) * max(level, 0.02) / 2 + rng.normal(0, 1e-3, len(whole))
    out = io.BytesIO()
    soundfile.write(out, whole.clip(-1, 1), RATE, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def _chords(family: str, beat: int, *, major: bool, root: float, rng: np.random.Generator) -> np.ndarray:
    """Return one beat of each of four chords, float64 [4, beat]."""
    partials, power = OVERTONES[family]
    scale = np.array(STEPS[major])
    degrees = np.array([0, *rng.permutation([3, 4, 5])])
    # bass and triad of each degree, in semitones above the root
    steps = degrees[:, None] + np.array([0, 0, 2, 4])
    notes = scale[steps % 7] + 12 * (steps // 7) + np.array([-12, 0, 0, 0]) + root
    pitches = 130.81 * 2 ** (notes / 12)  # (4 chords, 4 notes)
    seconds, order = np.arange(beat) / RATE, np.arange(1, partials + 1)
    frequencies = pitches[:, :, None] * order
    sizes = np.where(frequencies < 0.45 * RATE, order**-power, 0.0)
    waves = np.sin(2 * np.pi * frequencies[..., None] * seconds) * sizes[..., None]
    return np.asarray(waves.sum(axis=(1, 2)) * np.exp(-DECAY[family] * seconds))


def _drum(family: str, beat: int, rng: np.random.Generator) -> np.ndarray:
    """Return a drum beat: a kick drum for electronic music, otherwise noise."""
    seconds = np.arange(beat) / RATE
    if family == "electronic":
        return 8 * np.sin(2 * np.pi * 55 * seconds) * np.exp(-12 * seconds)
    return 3 * rng.normal(size=beat) * np.exp(-25 * seconds)

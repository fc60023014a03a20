"""Audio of the demo tracks: 16 seconds of four broken chords.

What is planted where:

- The family of the taste is in the timbre: partials, decay, distortion and drums. Single frames of a spectrum show it.
- The figure of the taste is in the order of low and high notes, six of them in two beats. Tastes with an even number
  have `FIGURE`, and tastes with an odd number have the same figure backwards. Both have the same notes, equally often
  and equally long, and the same pairs and triples of successive notes. Only runs of four notes differ. Each track
  begins at another note of its figure. So counts of frames do not show the figure, even with differences over 0.2 s. A
  network over a second of a spectrogram can.
- The style is in tempo and loudness.
- Key, mode and the order of chords are random, and are not related to who plays a track.
"""

from __future__ import annotations

import io

import numpy as np

from segue.datasets.demo.tastes import TASTES, pick

RATE, SECONDS = 11025, 16.0
STEPS = {True: (0, 2, 4, 5, 7, 9, 11), False: (0, 2, 3, 5, 7, 8, 10)}
"""Semitones of the major (True) and minor (False) scales."""
OVERTONES = {"acoustic": (6, 1.8), "band": (8, 1.2), "electronic": (12, 1.0), "loud": (8, 0.7)}
"""Number of partials, and the exponent of their decay."""
DECAY = {"acoustic": 4.0, "band": 2.0, "electronic": 0.3, "loud": 0.8}  # of a note, a second
DRUMS = {"acoustic": 0.0, "band": 0.5, "electronic": 0.3, "loud": 0.8}
FIGURE = (0, 0, 1, 0, 1, 1)
"""Order of the low (0) and the high (1) notes of a chord, over two beats of three notes each."""
TRIPLET = 3  # notes in a beat
DEGREES = np.array([[0, 4], [11, 14]])
"""The low notes, root and fifth of a chord, and the high ones, fifth and root one and two octaves above, as degrees."""


def figure(number: int) -> tuple[int, ...]:
    """Return the figure of the taste with this number: `FIGURE` if it is even, and backwards if it is odd."""
    return FIGURE if number % 2 == 0 else FIGURE[::-1]


def audio(taste: np.ndarray, style: float, rng: np.random.Generator) -> bytes:
    """Return a track's audio as a FLAC file, mono at 11,025 Hz. taste: float64 [K]; style: 0…1."""
    import soundfile

    main = pick(taste, rng)
    tempo = float(np.clip(rng.normal(85 + 75 * style, 6), 60, 190))
    step = round(RATE * 60 / tempo / TRIPLET)
    whole = _played(main.family, figure(TASTES.index(main)), step, rng).ravel()[: round(RATE * SECONDS)]
    if main.family == "loud":
        whole = np.tanh(4 * whole)
    level = 0.05 + 0.35 * style + rng.normal(0, 0.02)
    whole = whole / np.sqrt(np.square(whole).mean()) * max(level, 0.02) / 2 + rng.normal(0, 1e-3, len(whole))
    out = io.BytesIO()
    soundfile.write(out, whole.clip(-1, 1), RATE, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def _played(family: str, order: tuple[int, ...], step: int, rng: np.random.Generator) -> np.ndarray:
    """Return the notes with their drums, float64 [n, step]. A chord lasts two rounds of the figure, four beats."""
    at = np.arange(-(-round(RATE * SECONDS) // step))
    chords = _chords(family, step, major=bool(rng.random() < 0.6), root=float(rng.integers(12)), rng=rng)
    turned = np.roll(order, int(rng.integers(len(order))))
    notes: np.ndarray = chords[at // (2 * len(turned)) % len(chords), turned[at % len(turned)]]
    beats = notes[::TRIPLET]
    drums = np.stack([_drum(family, step, rng) for _ in range(4)])
    beats += DRUMS[family] * drums[np.arange(len(beats)) % 4]
    return notes


def _chords(family: str, step: int, *, major: bool, root: float, rng: np.random.Generator) -> np.ndarray:
    """Return the low and the high note of each of four chords, float64 [4, 2, step]."""
    partials, power = OVERTONES[family]
    scale = np.array(STEPS[major])
    degrees = np.array([0, *rng.permutation([3, 4, 5])])[:, None, None] + DEGREES
    # each note is a pair of tones, in semitones above the key
    pitches = 130.81 * 2 ** ((scale[degrees % 7] + 12 * (degrees // 7) + root) / 12)
    seconds, order = np.arange(step) / RATE, np.arange(1, partials + 1)
    frequencies = pitches[..., None] * order
    sizes = np.where(frequencies < 0.45 * RATE, order**-power, 0.0)
    waves = np.sin(2 * np.pi * frequencies[..., None] * seconds) * sizes[..., None]
    return np.asarray(waves.sum(axis=(2, 3)) * np.exp(-DECAY[family] * seconds))


def _drum(family: str, step: int, rng: np.random.Generator) -> np.ndarray:
    """Return a drum as long as a note: a kick drum for electronic music, otherwise noise."""
    seconds = np.arange(step) / RATE
    if family == "electronic":
        return 8 * np.sin(2 * np.pi * 55 * seconds) * np.exp(-12 * seconds)
    return 3 * rng.normal(size=step) * np.exp(-25 * seconds)

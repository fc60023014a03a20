"""Short audio files for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 22050


def tone(path: Path, seconds: float = 2.0, hertz: float = 440.0) -> Path:
    """Write a sine tone in the format of the file name suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE), RATE)
    return path

"""Fixtures with small real inputs of every kind."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.papers.enrichment.music_knowledge import BIOGRAPHIES


def picture(number: int, *, side: int = 50, form: str = "PNG") -> bytes:
    """Return an encoded picture with 4 x 4 coloured fields, different for each number."""
    fields = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(fields).resize((side, side), Image.Resampling.NEAREST).save(out, form)
    return out.getvalue()


@pytest.fixture(scope="session")
def pictures() -> list[bytes]:
    return [picture(number) for number in range(9)]


@pytest.fixture(scope="session")
def features() -> np.ndarray:
    """Return float32 [60, 5] with columns of very different scales, including a constant column."""
    drawn = np.random.default_rng(7).normal(size=(60, 5))
    return (drawn * [1, 10, 1000, 0.01, 0] + [0, 5, -300, 1, 0.1]).astype(np.float32)


@pytest.fixture(scope="session")
def tags() -> list[str]:
    return ["rock, indie pop", "jazz", "rock", "hip hop, rap", "soul, jazz, rock", "indie pop, rap"]


@pytest.fixture(scope="session")
def lyrics() -> list[str]:
    return [
        "[Chorus]\nmidnight city, midnight rain",
        "I'm singin' in the rain",
        "rain on the city tonight",
        "a harbour without a tide",
        "2 ContributorsTide Lyrics[Verse]\nsinging to the tide and to the harbour",
        "",
    ]


@pytest.fixture(scope="session")
def biographies() -> list[str]:
    return BIOGRAPHIES


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Use a single thread, because small networks on a busy machine mostly wait for their threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tone(frequency: float, samples: int, *, rate: int = 22050) -> np.ndarray:
    """Return a sine wave that starts at its crest, float64 [samples]."""
    return np.cos(2 * np.pi * frequency * np.arange(samples) / rate)


def sound(number: int, *, seconds: float = 2.0, rate: int = 22050, form: str = "WAV", channels: int = 1) -> bytes:
    """Return an encoded audio file with four notes over noise, different for each number."""
    import soundfile

    rng = np.random.default_rng(number)
    samples = int(seconds * rate)
    notes = sum(tone(frequency, samples, rate=rate) for frequency in 110 * 2 ** (rng.integers(0, 48, 4) / 12))
    mixed = 0.1 * notes * (1 + np.sin(2 * np.pi * (1 + number % 4) * np.arange(samples) / rate)) + 0.02 * rng.normal(
        size=samples
    )
    out = io.BytesIO()
    soundfile.write(out, np.repeat(mixed[:, None], channels, axis=1), rate, format=form)
    return out.getvalue()


def pure(frequency: float, seconds: float = 1.5, *, rate: int = 8000) -> bytes:
    """Return an encoded tone with very little noise."""
    import soundfile

    out, samples = io.BytesIO(), int(seconds * rate)
    noise = 0.0005 * np.random.default_rng(0).normal(size=samples)
    soundfile.write(out, 0.3 * tone(frequency, samples, rate=rate) + noise, rate, format="WAV")
    return out.getvalue()


@pytest.fixture(scope="session")
def sounds() -> list[bytes]:
    return [sound(number) for number in range(6)]

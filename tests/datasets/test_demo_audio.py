"""Tests of the demo catalogue's audio: tempo, loudness and timbre by taste and style."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from segue.datasets.demo.demo_audio import RATE, audio
from segue.datasets.demo.demo_params import DemoParams
from segue.datasets.demo.demo_reader import DemoReader
from segue.datasets.demo.tastes import FAMILIES

SMALL = {"tracks": 200, "artists": 40, "playlists": 10}


def heard(data: bytes) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(data))
    assert rate == RATE
    return samples


def drawn(family: int, style: float, number: int) -> np.ndarray:
    """Return the audio of a track with a single taste."""
    return heard(audio(np.eye(12)[3 * family], style, np.random.default_rng([family, number])))


def test_track_audio_has_16_seconds():
    samples = drawn(0, 0.5, 0)
    assert len(samples) == 16 * RATE
    assert np.abs(samples).max() <= 1
    assert np.square(samples).mean() > 1e-3


def test_audio_does_not_change_other_fields():
    silent = list(DemoReader(params=DemoParams(**SMALL))._tracks())
    sounding = list(
        DemoReader(
            params=DemoParams(**SMALL, fields=["audio_features", "lyrics", "biography", "cover", "audio"])
        )._tracks()
    )
    assert all("audio" in track.fields and track.fields["audio"].train_allowed for track in sounding)
    for track, twin in zip(silent, sounding, strict=True):
        assert track.fields == {name: field for name, field in twin.fields.items() if name != "audio"}
        assert track.duration_s == twin.duration_s


def test_track_audio_is_deterministic():
    one, two = (DemoReader(params=DemoParams(**SMALL, fields=["audio"])) for _ in range(2))
    first, second = (next(iter(reader._tracks())).fields["audio"].value for reader in (one, two))
    assert first == second


def test_driving_tracks_are_louder():
    for family in range(len(FAMILIES)):
        hushed, driving = (
            np.mean([np.square(drawn(family, style, number)).mean() for number in range(4)]) for style in (0.1, 0.9)
        )
        assert driving > 4 * hushed


@pytest.mark.parametrize("style", [0.3, 0.8])
def test_sound_families_are_distinguishable(style):
    """A classifier of mean log spectra is tested on tracks that were not in training."""
    from sklearn.linear_model import RidgeClassifier

    def spectrum(samples: np.ndarray) -> np.ndarray:
        size = np.abs(np.fft.rfft(samples[: 1024 * 160].reshape(-1, 1024) * np.hanning(1024), axis=1))
        level = np.log(size.reshape(len(size), -1)[:, :512].reshape(-1, 32, 16).sum(axis=2) + 1e-3)
        return np.concatenate([level.mean(axis=0) - level.mean(), level.std(axis=0)])

    rows = np.array([[spectrum(drawn(family, style, number)) for number in range(16)] for family in range(4)])
    families = np.arange(4)[:, None].repeat(8, axis=1).ravel()
    probe = RidgeClassifier().fit(rows[:, :8].reshape(32, -1), families)
    assert probe.score(rows[:, 8:].reshape(32, -1), families) > 0.85

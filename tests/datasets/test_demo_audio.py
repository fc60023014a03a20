"""Tests of the demo catalogue's audio: tempo, loudness, timbre and figure by taste and style."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
import soundfile

from segue.datasets.demo.demo_audio import FIGURE, RATE, _played, audio, figure
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


def runs(order: tuple[int, ...], length: int) -> Counter[tuple[int, ...]]:
    """Return how often each run of `length` successive notes occurs when the figure is repeated."""
    return Counter(tuple(order[(start + at) % len(order)] for at in range(length)) for start in range(len(order)))


def test_figures_differ_only_in_runs_of_four_notes():
    one, other = figure(0), figure(1)
    assert one == FIGURE and sorted({figure(number) for number in range(12)}) == sorted({one, other})
    for length in (1, 2, 3):
        assert runs(one, length) == runs(other, length)
    assert not runs(one, 4) & runs(other, 4) - runs(one, 4) and runs(one, 4) != runs(other, 4)


@pytest.mark.parametrize("number", [0, 1])
def test_notes_are_in_the_order_of_the_figure(number):
    notes = _played("acoustic", figure(number), 2048, np.random.default_rng(number))
    spectrum = np.abs(np.fft.rfft(notes * np.hanning(2048), axis=1))
    # the lowest tone of a note: low notes begin below the high notes of the same chord
    lowest = (spectrum > 0.5 * spectrum.max(axis=1, keepdims=True)).argmax(axis=1)[: len(notes) // 12 * 12]
    chords = lowest.reshape(-1, 12)
    high = (chords > (chords.min(axis=1) + chords.max(axis=1))[:, None] / 2).astype(int)
    assert {tuple(np.roll(figure(number) * 2, turn)) for turn in range(6)} >= {tuple(row) for row in high}


def test_frames_and_short_differences_do_not_show_the_figure():
    """The classifier of spectra that recognises families is at chance for figures, also with differences over 0.2 s."""
    from sklearn.linear_model import RidgeClassifier

    def statistics(samples: np.ndarray) -> np.ndarray:
        frames = np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(samples, 1024)[::256] * np.hanning(1024)))
        level = np.log(frames[:, :512].reshape(len(frames), 32, 16).sum(axis=2) + 1e-3)
        steps = level[8:] - level[:-8]  # 0.19 s
        return np.concatenate([level.mean(axis=0), level.std(axis=0), steps.std(axis=0), (steps**3).mean(axis=0)])

    rows = np.array(
        [
            statistics(heard(audio(np.eye(12)[3 + number % 2], 0.5, np.random.default_rng([9, number]))))
            for number in range(96)
        ]
    )
    labels = np.arange(96) % 2
    probe = RidgeClassifier(alpha=10).fit(rows[:48], labels[:48])
    assert 0.3 < probe.score(rows[48:], labels[48:]) < 0.7

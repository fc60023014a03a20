"""Tests of the eleven audio features on signals with known values."""

from __future__ import annotations

import numpy as np
import pytest

from tests.encoders.conftest import tone
from toolkit.constants import AUDIO_FEATURES
from toolkit.encoders.audio.audio_features import AudioFeaturesEncoder, measure, tonality
from toolkit.errors import InputError

RATE = 22050
SCALE = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
CHORD = {"major": (0, 4, 7), "minor": (0, 3, 7)}


def measured(samples: np.ndarray) -> dict[str, float]:
    return dict(zip(AUDIO_FEATURES, measure(samples.astype(np.float32), RATE).tolist(), strict=True))


def clicks(beats_a_minute: float, seconds: float = 12) -> np.ndarray:
    """Return a short burst on every beat."""
    samples = np.zeros(int(RATE * seconds))
    burst = np.random.default_rng(0).normal(size=600) * np.exp(-np.arange(600) / 100)
    for begin in np.arange(0, len(samples) - 600, RATE * 60 / beats_a_minute).astype(int):
        samples[begin : begin + 600] += burst
    return 0.3 * samples


def piece(tonic: int, mode: str) -> np.ndarray:
    """Return an ascending scale over a chord."""
    notes = [261.63 * 2 ** ((tonic + step) / 12) for step in SCALE[mode]]
    chord = sum(tone(261.63 * 2 ** ((tonic + step) / 12), RATE // 2) for step in CHORD[mode])
    return np.concatenate([0.1 * (tone(note, RATE // 2) + chord) for note in notes])


@pytest.mark.parametrize("beats", [80, 110, 150])
def test_click_track_has_expected_tempo(beats):
    found = measured(clicks(beats))["tempo"]
    # librosa's grid of tempi is coarse, and an octave is an answer too
    assert min(abs(found / beats - octave) for octave in (0.5, 1, 2)) < 0.04


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", [0, 3, 7, 10])
def test_chords_have_expected_key_and_mode(tonic, mode):
    found = measured(piece(tonic, mode))
    assert (found["key"], found["mode"]) == (tonic, mode == "major")


def test_loudness_equals_decibels_relative_to_full_scale():
    assert measured(tone(440, RATE))["loudness"] == pytest.approx(-3.01, abs=0.05)
    assert measured(0.1 * tone(440, RATE))["loudness"] == pytest.approx(-23.01, abs=0.05)
    assert measured(np.zeros(RATE))["loudness"] == -60


def test_feature_estimates_rank_extreme_sounds_correctly():
    rng = np.random.default_rng(1)
    noise = 0.1 * rng.normal(size=8 * RATE)
    talk = noise * (np.sin(2 * np.pi * 4 * np.arange(8 * RATE) / RATE) > 0.3)
    irregular = np.zeros(12 * RATE)
    for begin in np.sort(rng.integers(0, len(irregular) - 600, 24)):
        irregular[begin : begin + 600] += 0.3 * rng.normal(size=600) * np.exp(-np.arange(600) / 100)
    steady, speech, pulse = measured(noise), measured(talk), measured(clicks(120))
    assert pulse["danceability"] > measured(irregular)["danceability"] + 0.2
    assert speech["speechiness"] > steady["speechiness"] + 0.2
    assert speech["instrumentalness"] < steady["instrumentalness"] - 0.2
    assert measured(tone(200, RATE))["acousticness"] > steady["acousticness"] + 0.3
    assert steady["liveness"] > speech["liveness"] + 0.3
    assert measured(2 * noise)["energy"] > steady["energy"]
    assert measured(piece(0, "major"))["valence"] > measured(piece(0, "minor"))["valence"]


@pytest.mark.parametrize("samples", [np.zeros(1), np.ones(1), np.zeros(5000), np.ones(5000), tone(50, 300)], ids=len)
def test_extreme_clips_have_finite_features_in_range(samples):
    found = measured(samples)
    assert np.isfinite(list(found.values())).all()
    for name in set(AUDIO_FEATURES) - {"tempo", "key", "mode", "loudness"}:
        assert 0 <= found[name] <= 1, name


def test_silence_has_key_0_and_mode_1():
    assert tonality(np.zeros(RATE, np.float32), RATE) == (0, 1, 0.0)


def test_features_are_standardised_over_the_fitted_files(sounds):
    encoder = AudioFeaturesEncoder().fit(sounds)
    raw, rows = encoder.measured(sounds), encoder.transform(sounds)
    varied = raw.std(axis=0) > 1e-6
    np.testing.assert_allclose(rows[:, varied].std(axis=0), 1, atol=1e-4)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-4)
    assert raw[:, AUDIO_FEATURES.index("loudness")].max() < 0


def test_fit_without_readable_files_raises_input_error():
    with pytest.raises(InputError, match="none of 1 audio files"):
        AudioFeaturesEncoder().fit([b"x"])

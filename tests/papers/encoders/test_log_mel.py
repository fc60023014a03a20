"""Tests of log-mel windows and of clips shorter than one window."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from segue_papers.encoders.band_normaliser import BandNormaliser
from segue_papers.encoders.log_mel import LogMelEncoder, LogMelParams
from segue_papers.encoders.mel_spectrogram import RandomWindows, log_mel, mean_and_deviation
from tests.encoders.conftest import sound
from toolkit.encoders.contract import registry
from toolkit.encoders.contract.encode import PART, FitOn, encode
from toolkit.encoders.contract.field_values import FieldValues

PARAMS = LogMelParams(rate=8000, seconds=1.5, window=0.5, bands=16, fft=256, hop=128)


def test_log_mel_equals_the_spectrogram_and_repeats_a_short_clip() -> None:
    from toolkit.encoders.audio.waveforms import waveforms

    clip = sound(1, seconds=1.2, rate=8000)
    (samples,) = waveforms([clip], rate=8000, seconds=30)
    assert isinstance(samples, np.ndarray)
    table, found = log_mel(samples, PARAMS), LogMelEncoder(PARAMS).transform([clip]).reshape(PARAMS.shape())
    assert PARAMS.shape() == (16, 93) and table.shape == (16, 76)
    # 75 frames are whole, the last one is padded
    assert np.array_equal(found[:, :75], table[:, :75]) and np.array_equal(found[:, 75:], table[:, :18])


def test_training_windows_lie_anywhere_in_their_clip_and_change_with_the_epoch() -> None:
    clips = [np.arange(3 * 4, dtype=np.float32), 100 + np.arange(2 * 4, dtype=np.float32)]
    windows = np.concatenate([clip.reshape(-1, 1, 4) for clip in clips])
    drawn = RandomWindows(windows, np.array([5, 5, 5, 7, 7]), seed=1)
    seen, orders = set[tuple[float, ...]](), set[bytes]()
    for epoch in range(60):
        drawn.begin_epoch(epoch)
        table = drawn.load(np.arange(5))[:, 0]
        orders.add(table.tobytes())
        seen |= {tuple(row) for row in table.tolist()}
        assert (table[:3] < 100).all() and (table[3:] >= 100).all()
    every = {tuple(clip[start : start + 4].tolist()) for clip in clips for start in range(len(clip) - 3)}
    assert seen == every and len(orders) > 50
    drawn.begin_epoch(3)
    again = RandomWindows(windows, np.array([5, 5, 5, 7, 7]), seed=1)
    again.begin_epoch(3)
    assert np.array_equal(drawn.load(np.arange(5)), again.load(np.arange(5)))


def test_band_statistics_equal_numpy_over_the_training_rows() -> None:
    table = np.random.default_rng(2).normal(3, 2, (600, 4, 7)).astype(np.float32)
    rows = np.arange(0, 600, 2)
    mean, deviation = mean_and_deviation(table, rows)
    assert np.allclose(mean, table[rows].mean(axis=(0, 2)), atol=1e-5)
    assert np.allclose(deviation, table[rows].std(axis=(0, 2)), atol=1e-5)
    normalised = BandNormaliser(mean, deviation)(torch.from_numpy(table[rows])).numpy()
    assert np.allclose(normalised.mean(axis=(0, 2)), 0, atol=1e-4)
    assert np.allclose(normalised.std(axis=(0, 2)), 1, atol=1e-4)


def test_clip_shorter_than_one_window_makes_its_track_absent(tmp_path: Path) -> None:
    clips = [sound(1, seconds=1.0, rate=8000), sound(2, seconds=0.3, rate=8000)]
    with pytest.warns(RuntimeWarning, match=r"sound: 1 of 2 tracks .* count as absent: 'short'"):
        found = encode(
            LogMelEncoder(PARAMS), FieldValues("sound", ["long", "short"], np.ones(2, bool), clips), cache=tmp_path
        )
    assert found.present.tolist() == [False, True, False]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode(LogMelEncoder(PARAMS), FieldValues("sound", ["long"], np.ones(1, bool), clips[:1]), cache=tmp_path)


@pytest.mark.parametrize("name", ["mel-cnn-1d", "spectrogram-dbn", "cqt"])
def test_every_run_warns_about_clips_padded_with_silence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PART, "audio", 2)
    given = {
        "mel-cnn-1d": {
            "rate": 8000,
            "window": 0.5,
            "bands": 8,
            "fft": 256,
            "hop": 128,
            "filters": [4],
            "epochs": 1,
            "bf16": "off",
        },
        "spectrogram-dbn": {"rate": 8000, "clip": 0.5, "bands": 8, "components": 2, "hidden": [3], "epochs": 1},
        "cqt": {"rate": 8000, "seconds": 0.5, "hop": 256, "bins": 72},
    }
    clips = [sound(1, seconds=0.7, rate=8000), sound(2, seconds=0.3, rate=8000), sound(3, seconds=0.6, rate=8000)]
    encoder = registry.create(name, given[name], seed=0, device="cpu")
    targets = np.eye(3, 2, dtype=np.float32) if encoder.supervised else None
    for _ in ("made", "from the cache"):
        with pytest.warns(
            RuntimeWarning,
            match=r"sound: 1 of 3 clips are shorter than .* and are padded with silence: 'short'$",
        ):
            found = encode(
                encoder,
                FieldValues("sound", ["a", "short", "b"], np.ones(3, bool), clips),
                cache=tmp_path,
                fit_on=FitOn(targets=targets),
            )
        assert found.present.tolist() == [False, True, True, True]
        assert found.short is not None and found.short.tolist() == [False, False, True, False]

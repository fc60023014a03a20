"""Tests of log-mel windows and of clips shorter than one window."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from segue_papers.encoders.log_mel import LogMelEncoder, LogMelParams
from segue_papers.encoders.mel_spectrogram import log_mel
from tests.encoders.conftest import sound
from toolkit.encoders.contract import registry
from toolkit.encoders.contract.encode import PART, FitOn, encode
from toolkit.encoders.contract.field_values import FieldValues

PARAMS = LogMelParams(rate=8000, window=0.5, bands=16, fft=256, hop=128, windows=3)


def test_log_mel_windows_equal_slices_of_the_spectrogram() -> None:
    from toolkit.encoders.audio.waveforms import waveforms

    clip = sound(1, seconds=1.2, rate=8000)
    (samples,) = waveforms([clip], rate=8000, seconds=30)
    assert isinstance(samples, np.ndarray)
    table, windows = log_mel(samples, PARAMS), LogMelEncoder(PARAMS).transform([clip]).reshape(PARAMS.shape())
    assert PARAMS.shape() == (3, 16, 31) and table.shape == (16, 76)
    for window, start in zip(windows, (0, 22, 45), strict=True):
        assert np.array_equal(window, table[:, start : start + 31])


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
        "spectrogram-dbn": {"rate": 8000, "seconds": 0.5, "bands": 8, "components": 2, "hidden": [3], "epochs": 1},
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

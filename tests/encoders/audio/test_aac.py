"""Tests of decoding AAC, MPEG-4 and WavPack with the FFmpeg libraries."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tests.encoders.audio.mpeg4 import encoded
from tests.encoders.conftest import sound
from toolkit.encoders.audio import decode_worker
from toolkit.encoders.audio.decode_worker import Unreadable, decode
from toolkit.encoders.audio.waveforms import waveforms
from toolkit.encoders.contract.input_faults import BadInput

M4A, ADTS, WAVPACK = b"\0\0\0\x1cftypM4A " + bytes(64), b"\xff\xf1P@" + bytes(64), b"wvpk" + bytes(64)


@pytest.fixture
def av():
    return pytest.importorskip("av", reason="AAC needs pip install 'segue[aac]'")


def ramp(seconds: float, rate: int = 8000) -> np.ndarray:
    """Return samples that differ from their neighbours and are exact in 16 bits, float [1, s]."""
    return (np.arange(round(seconds * rate)) % 60_000 - 30_000)[None] / 32767


@pytest.mark.parametrize(("codec", "form"), [("alac", "ipod"), ("wavpack", "wv")])
def test_lossless_files_decode_exactly(codec, form, av):
    wanted = np.round(ramp(5) * 32767)[0] / 32768
    np.testing.assert_array_equal(decode(encoded(ramp(5), 8000, codec, form), rate=8000, seconds=9), np.float32(wanted))
    middle = decode(encoded(ramp(5), 8000, codec, form), rate=8000, seconds=1.5)
    np.testing.assert_array_equal(middle, np.float32(wanted[14_000:26_000]))


@pytest.mark.parametrize("form", ["ipod", "mp4", "adts"])
def test_aac_decodes_close_to_the_original(form, av):
    time = np.arange(3 * 44100) / 44100
    stereo = np.stack([0.5 * np.sin(2 * np.pi * 440 * time), 0.25 * np.sin(2 * np.pi * 440 * time)])
    found = decode(encoded(stereo, 44100, form=form), rate=22050, seconds=30)
    level = np.abs(np.fft.rfft(found[11025:55125] * np.hanning(44100)))
    assert found.dtype == np.float32 and abs(len(found) - 3 * 22050) < 2048
    assert level.argmax() == 880  # half a hertz a bin
    assert np.sqrt((found[11025:55125] ** 2).mean()) == pytest.approx(0.375 / np.sqrt(2), rel=0.02)


def test_invalid_files_raise_unreadable(av, monkeypatch):
    whole = encoded(ramp(5), 8000, "alac")
    for cut in (whole[: len(whole) // 2], M4A, ADTS, WAVPACK):
        with pytest.raises(Unreadable, match="audio that cannot be read|audio of length 0"):
            decode(cut, rate=8000, seconds=5)
    monkeypatch.setattr(decode_worker, "MOST_SAMPLES", 9_999)
    assert len(decode(whole, rate=8000, seconds=1)) == 8000
    with pytest.raises(Unreadable, match="1 channels at 8000 Hz, above the limit of 9,999 samples in 2 s"):
        decode(whole, rate=8000, seconds=2)


def test_worker_decodes_aac_after_a_damaged_file(av):
    good = encoded(ramp(1), 8000, "alac")
    first, second, third = waveforms([good, M4A, sound(1)], rate=8000, seconds=1, workers=1)
    np.testing.assert_array_equal(first, decode(good, rate=8000, seconds=1))
    assert isinstance(second, BadInput) and "cannot be read" in second.why
    np.testing.assert_array_equal(third, decode(sound(1), rate=8000, seconds=1))


@pytest.mark.parametrize("data", [M4A, ADTS, WAVPACK])
def test_missing_pyav_gives_a_message_with_the_package(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(
        Unreadable, match="audio in AAC, MPEG-4 or WavPack, which needs PyAV: pip install 'segue\\[aac\\]'"
    ):
        decode(data, rate=8000, seconds=1)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_libsndfile_formats_decode_without_pyav(form, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert decode_worker.missing_package(sound(1, form=form)) is None and len(
        decode(sound(1, form=form), rate=8000, seconds=1)
    )

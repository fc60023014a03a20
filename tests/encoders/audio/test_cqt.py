"""Tests of the constant-Q transform against librosa."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from tests.encoders.conftest import tone
from toolkit.encoders.audio.cqt_transform import Cqt, halved
from toolkit.errors import InputError


def music(samples: int, number: int = 0) -> np.ndarray:
    """Return notes with overtones and a little noise, loud at both edges, where filters exceed the signal."""
    rng = np.random.default_rng(number)
    notes = sum(tone(frequency, samples) for frequency in 55 * 2 ** rng.uniform(0, 6, 8))
    return (0.1 * notes + 0.01 * rng.normal(size=samples)).astype(np.float32)


def twin(signal: np.ndarray, plan: Cqt) -> np.ndarray:
    return librosa.cqt(
        signal, sr=plan.rate, hop_length=plan.hop, fmin=plan.fmin, n_bins=plan.bins, bins_per_octave=plan.per_octave
    )


@pytest.mark.parametrize(
    "plan", [Cqt(), Cqt(hop=512, bins=84), Cqt(rate=44100, hop=2048, fmin=55.0), Cqt(bins=192, per_octave=24)], ids=str
)
@pytest.mark.parametrize("samples", [40_000, 33_333, 8191])
def test_cqt_equals_librosa(plan, samples):
    signals = np.stack([music(samples, number) for number in range(3)])
    found = plan(torch.from_numpy(signals)).numpy()
    expected = np.stack([twin(signal, plan) for signal in signals])
    assert found.shape == expected.shape == (3, plan.bins, plan.frames(samples))
    assert found.dtype == np.complex64
    assert np.linalg.norm(found - expected) <= 1e-5 * np.linalg.norm(expected)
    # in every octave for itself, the quiet ones too
    for low in range(0, plan.bins, plan.per_octave):
        part, whole = found[:, low : low + plan.per_octave], expected[:, low : low + plan.per_octave]
        assert np.linalg.norm(part - whole) <= 3e-5 * np.linalg.norm(whole)


@pytest.mark.parametrize("samples", [1, 2, 63, 64, 65, 1000, 4097])
def test_halved_equals_librosa_resample(samples):
    signals = np.stack([music(samples, 1), music(samples, 2)])
    expected = np.stack(
        [librosa.resample(signal, orig_sr=2, target_sr=1, res_type="soxr_hq", scale=True) for signal in signals]
    )
    np.testing.assert_allclose(halved(torch.from_numpy(signals)).numpy(), expected, atol=2e-6)


def test_cqt_of_a_signal_is_identical_alone_and_in_a_batch(monkeypatch):
    signals = torch.from_numpy(np.stack([music(9000, number) for number in range(5)]))
    alone = torch.cat([Cqt()(signals[row : row + 1]) for row in range(5)])
    torch.testing.assert_close(Cqt()(signals), alone, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr("toolkit.encoders.audio.cqt_transform.TOGETHER", {"cpu": 18_000})
    torch.testing.assert_close(Cqt()(signals), alone, rtol=1e-5, atol=1e-6)


def test_cqt_of_15_seconds_has_323_frames():
    assert Cqt().frames(15 * 22050) == 323


def test_decibels_are_zero_for_silence_and_one_for_the_loudest_bin():
    loud = torch.from_numpy(np.stack([tone(440, 22050), 0.001 * tone(440, 22050), np.zeros(22050)]).astype(np.float32))
    level = Cqt().decibels(loud)
    assert level.shape == (3, 96, 22)
    assert level[0].amax() == 1
    assert int(level[0, :, 10].argmax()) == 45  # A4 is 45 semitones above C1
    torch.testing.assert_close(level[1], level[0], rtol=0, atol=1e-3)
    assert not level[2].any()


def test_cqt_of_an_empty_batch_is_empty():
    assert Cqt()(torch.zeros(0, 5000)).shape == (0, 96, 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bins": 90}, "multiple of per_octave=12"),
        ({"hop": 1000}, "hop=1000 must be a multiple of 128"),
        ({"bins": 108}, "above the Nyquist frequency"),
    ],
)
def test_invalid_cqt_settings_raise_input_error(settings, message):
    with pytest.raises(InputError, match=message):
        Cqt(**settings)


@pytest.mark.gpu
def test_cqt_on_gpu_equals_cpu():
    signals = torch.from_numpy(np.stack([music(40_000, number) for number in range(6)]))
    expected = Cqt()(signals)
    assert (Cqt()(signals.cuda()).cpu() - expected).norm() <= 1e-5 * expected.norm()

"""Tests of the spectrogram, machines and vectors of the deep belief network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segue_papers.encoders import spectrogram_dbn as module
from segue_papers.encoders.spectrogram_dbn import SpectrogramDbnEncoder, SpectrogramDbnParams, spectrogram
from tests.encoders.conftest import pure, tone
from toolkit.errors import InputError

SMALL = {
    "rate": 8000,
    "seconds": 1.0,
    "bands": 20,
    "components": 6,
    "hidden": [12, 8],
    "epochs": 60,
    "lr": 0.3,
    "batch": 8,
}


def test_default_dbn_sizes_equal_the_paper():
    params = SpectrogramDbnParams()
    assert (params.frames(), params.bands, params.components) == (166, 120, 100)
    assert spectrogram(np.zeros(5 * 22050, np.float32), params).shape == (166 * 120,)


def test_loudest_band_contains_the_tone():
    samples = tone(1100, 4000, rate=8000).astype(np.float32)
    table = spectrogram(samples, SpectrogramDbnParams(**SMALL)).reshape(-1, 20)
    assert table.shape[0] == 33
    assert (table[:16].argmax(axis=1) == 5).all()  # bands of 200 Hz
    assert not table[17:].any()  # the clip has ended


def test_restricted_boltzmann_machine_reconstructs_its_inputs():
    """A trained machine reconstructs both patterns, and an untrained machine does not."""
    patterns = torch.tensor([[1.0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]])
    table = patterns[torch.arange(64) % 2]
    params = SpectrogramDbnParams(**SMALL | {"epochs": 120})
    weight, bias, _ = module._machine(table, 4, params, torch.Generator().manual_seed(1), gaussian=False)
    codes = torch.sigmoid(patterns @ weight + bias)
    assert float((codes[0] - codes[1]).abs().max()) > 0.8
    assert float((weight[:3] - weight[3:]).abs().mean()) > 0.5


def test_similar_clips_have_similar_dbn_vectors():
    clips = [pure(frequency) for frequency in [*np.linspace(150, 190, 8), *np.linspace(2450, 2490, 8)]]
    # brought to deviation one, every further component would weigh as much as the one that tells the two kinds apart
    rows = SpectrogramDbnEncoder(SpectrogramDbnParams(**SMALL | {"components": 2})).fit(clips).transform(clips)
    assert ((rows >= 0) & (rows <= 1)).all()
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    assert apart[:8, :8].mean() < 0.6 * apart[:8, 8:].mean()


def test_dbn_components_are_fitted_to_a_sample_of_clips(monkeypatch):
    clips = [pure(frequency) for frequency in np.linspace(200, 3000, 9)]
    monkeypatch.setattr(module, "MOST_CLIPS", 4)
    encoder = SpectrogramDbnEncoder(SpectrogramDbnParams(**SMALL)).fit(clips)
    assert encoder.tensors["axes"].shape == (3, 33 * 20)
    assert encoder.transform(clips).shape == (9, 8)


def test_dbn_fit_without_readable_files_raises_input_error():
    with pytest.raises(InputError, match="none of 1 audio files"):
        SpectrogramDbnEncoder(SpectrogramDbnParams(**SMALL)).fit([b"x"])

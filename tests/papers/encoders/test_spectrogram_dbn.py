"""Tests of the spectrogram, machines and vectors of the deep belief network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segue_papers.encoders import spectrogram_dbn as module
from segue_papers.encoders.spectrogram_dbn import SpectrogramDbnEncoder, SpectrogramDbnParams, spectrogram
from tests.encoders.conftest import pure, sound, tone
from toolkit.errors import InputError
from toolkit.seeds import derived_seed

SMALL = {
    "rate": 8000,
    "clip": 1.0,
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
    weight, bias, errors, _ = module._machine(table, 4, params, torch.Generator().manual_seed(1), gaussian=False)
    codes = torch.sigmoid(patterns @ weight + bias)
    assert float((codes[0] - codes[1]).abs().max()) > 0.8
    assert float((weight[:3] - weight[3:]).abs().mean()) > 0.5
    assert len(errors) == 120 and errors[-1][1] < 0.1 < 0.9 < errors[0][1]


def test_default_training_moves_all_layers_and_keeps_what_the_components_hold():
    """With defaults no layer keeps its random start, and the output tells four planted groups apart."""
    rng = np.random.default_rng(3)
    groups = np.arange(240) % 4
    table = (2.5 * rng.standard_normal((4, 30))[groups] + rng.standard_normal((240, 30))).astype(np.float32)
    table /= table.std(axis=0)
    encoder = SpectrogramDbnEncoder(SpectrogramDbnParams(components=30, hidden=[30, 30, 30]))
    tensors, hidden = encoder._layers(table, None), table
    for layer in range(3):
        generator = torch.Generator().manual_seed(derived_seed(0, encoder.name, "layer", layer))
        start = 0.01 * torch.randn(30, 30, generator=generator).numpy()
        assert np.corrcoef(start.ravel(), tensors[f"weight.{layer}"].ravel())[0, 1] < 0.5
        hidden = 1 / (1 + np.exp(-(hidden @ tensors[f"weight.{layer}"] + tensors[f"bias.{layer}"])))
    assert hidden.std(axis=0).mean() > 0.05
    centers = np.stack([hidden[:120][groups[:120] == group].mean(axis=0) for group in range(4)])
    nearest = np.linalg.norm(hidden[120:, None] - centers, axis=2).argmin(axis=1)
    assert (nearest == groups[120:]).mean() > 0.9
    first, last = encoder.curve[0], encoder.curve[-1]
    assert [row["epoch"] for row in encoder.curve] == list(range(1, 301))
    assert all(last[f"layer {layer}"] < 0.6 * first[f"layer {layer}"] for layer in (1, 2, 3))


def test_training_without_an_effect_is_reported():
    table = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
    encoder = SpectrogramDbnEncoder(SpectrogramDbnParams(components=6, hidden=[4, 4], epochs=1, lr=1e-9))
    encoder._layers(table, None)
    assert encoder.learning.collapsed


def test_clip_is_drawn_from_the_whole_excerpt_by_content_and_seed():
    files = [sound(place, seconds=4, rate=8000) for place in range(6)]
    rows = [SpectrogramDbnEncoder(SpectrogramDbnParams(**SMALL), seed=seed) for seed in (0, 0, 1)]
    first, again, other = ([row for _, row in encoder._spectrograms(files, None, "")] for encoder in rows)
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
    assert any(not np.array_equal(*pair) for pair in zip(first, other, strict=True))


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

"""Tests of training, reconstruction and embeddings of the features VAE."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.encoders.features.features_vae import FeaturesVaeEncoder, FeaturesVaeParams


@pytest.fixture(scope="module")
def hidden() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(400, 2))


@pytest.fixture(scope="module")
def mixed(hidden) -> np.ndarray:
    """Return float32 [400, 6], six noisy columns computed from two hidden factors."""
    draw = np.random.default_rng(0)
    return (hidden @ draw.normal(size=(2, 6)) + 0.05 * draw.normal(size=(400, 6)) + [5, 0, 0, 100, 0, 0]).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def fitted(mixed) -> FeaturesVaeEncoder:
    return FeaturesVaeEncoder(FeaturesVaeParams(latent=8, hidden=[32], epochs=40, batch=64, lr=5e-3)).fit(mixed)


def test_vae_reconstructions_are_close_to_the_inputs(fitted, mixed):
    error = ((fitted.reconstruct(mixed) - mixed) ** 2).mean(axis=0) / mixed.var(axis=0)
    assert error.max() < 0.1


def test_hidden_factors_are_linear_in_the_vae_embedding(fitted, hidden, mixed):
    rows = np.column_stack([fitted.transform(mixed), np.ones(len(mixed))])
    left = hidden - rows @ np.linalg.lstsq(rows, hidden, rcond=None)[0]
    assert ((left**2).mean(axis=0) / hidden.var(axis=0)).max() < 0.05


def test_vae_keeps_its_training_curve(fitted, tmp_path):
    fitted.save(tmp_path)
    assert [row["epoch"] for row in FeaturesVaeEncoder.load(tmp_path).curve] == list(range(1, 41))
    assert fitted.curve[-1]["error"] < fitted.curve[0]["error"] / 4


def test_vae_samples_have_the_posterior_mean_and_deviation(mixed):
    params = {"latent": 4, "hidden": [16], "epochs": 5, "batch": 32}
    both = FeaturesVaeEncoder(FeaturesVaeParams(**params, output="mu+sigma")).fit(mixed).transform(mixed)
    sample = FeaturesVaeEncoder(FeaturesVaeParams(**params, output="sample")).fit(mixed).transform(mixed)
    noise = (sample - both[:, :4]) / both[:, 4:]
    assert (both[:, 4:] > 0).all()
    assert abs(noise.mean()) < 0.1
    assert abs(noise.std() - 1) < 0.1


def test_different_seeds_give_different_embeddings(mixed):
    params = FeaturesVaeParams(latent=4, hidden=[16], epochs=1)
    first, second = (FeaturesVaeEncoder(params, seed=seed).fit(mixed).transform(mixed) for seed in (0, 1))
    assert not np.allclose(first, second)

"""Tests of the loss, outputs and training of autoencoders."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from toolkit.encoders.learning.autoencoder_network import Autoencoder, conv_autoencoder, mlp_autoencoder
from toolkit.encoders.learning.train_network import CHECKPOINT, Schedule, train
from toolkit.errors import SegueError
from toolkit.seeds import seeded_weights

DATA = torch.from_numpy(np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32))
SCHEDULE = Schedule(epochs=6, batch=8, lr=1e-2, beta=0.5, seed=3, device="cpu", identity="x")


def build() -> Autoencoder:
    return seeded_weights(lambda: mlp_autoencoder(3, [5], 2), 11)


def load(rows):
    return DATA[torch.from_numpy(rows)]


def weights(model: Autoencoder) -> np.ndarray:
    return np.concatenate([value.numpy().ravel() for value in model.state_dict().values()])


def fixed(mean: float, log_variance: float) -> Autoencoder:
    """Return a network with the constant posterior N(mean, exp(log_variance)) and an identity decoder."""
    model = Autoencoder(nn.Identity(), 1, 1, nn.Identity(), variational=True)
    with torch.no_grad():
        model.bottleneck.weight.zero_()
        model.bottleneck.bias.copy_(torch.tensor([mean, log_variance]))
    return model


def test_vae_loss_equals_the_negative_elbo():
    # posterior N(2, e), noise 1, input 5: code 2 + e^0.5; KL = (e + 4 - 1 - 1) / 2
    losses = fixed(2.0, 1.0).losses(torch.tensor([[5.0]]), torch.ones(1, 1), beta=3.0)
    error, kl = 0.5 * (5 - 2 - math.exp(0.5)) ** 2, 0.5 * (math.e + 4 - 1 - 1)
    assert losses["error"].item() == pytest.approx(error, rel=1e-6)
    assert losses["kl"].item() == pytest.approx(kl, rel=1e-6)
    assert losses["loss"].item() == pytest.approx(error + 3 * kl, rel=1e-6)


def test_vae_kl_equals_torch_distributions():
    model = build()
    mean, log_variance = model.encode(DATA)
    posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    assert model.losses(DATA, torch.zeros(50, 2), beta=1.0)["kl"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_vae_outputs_have_expected_shapes_and_values():
    model, noise = fixed(2.0, math.log(9.0)), torch.tensor([[0.5]])
    out = {name: model.embed(torch.zeros(1, 1), name, noise).tolist() for name in ("mu", "mu+sigma", "sample")}
    assert out["mu"] == [[2.0]]
    np.testing.assert_allclose(out["mu+sigma"], [[2.0, 3.0]], rtol=1e-6)
    np.testing.assert_allclose(out["sample"], [[3.5]], rtol=1e-6)


def test_plain_autoencoder_has_no_kl():
    model = seeded_weights(lambda: conv_autoencoder(16, 2, [4, 4], 3, variational=False), 1)
    inputs = torch.rand(5, 3, 16, 16)
    losses = model.losses(inputs, torch.ones(5, 3), beta=7.0)
    back = model.decoder(model.encode(inputs)[0])
    assert set(losses) == {"loss", "error"}
    assert back.shape == inputs.shape
    assert losses["loss"].item() == pytest.approx(0.5 * (back - inputs).square().sum().item() / 5, rel=1e-5)


def test_seeded_weights_depend_on_the_seed_and_keep_the_global_state():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = build()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    np.testing.assert_array_equal(weights(build()), weights(first))
    assert not np.array_equal(weights(seeded_weights(lambda: mlp_autoencoder(3, [5], 2), 12)), weights(first))


def test_training_lowers_the_loss_and_keeps_the_global_state():
    before = torch.get_rng_state()
    curve = train(build(), load, 50, Schedule(**{**SCHEDULE.__dict__, "epochs": 30, "beta": 0.01}))
    assert torch.equal(torch.get_rng_state(), before)
    assert [row["epoch"] for row in curve] == list(range(1, 31))
    # two latent numbers for three independent ones: half a unit of error is the least there can be
    assert 0.4 < curve[-1]["error"] < 0.65 * curve[0]["error"]


class Stopped(Exception):
    pass


def stop_after(step: int):
    def progress(done, total, what):
        if done == step:
            raise Stopped

    return progress


@pytest.mark.parametrize("step", [7, 8, 20, 41])
def test_resuming_training_after_any_epoch_gives_identical_weights(tmp_path, step):
    whole = build()
    curve = train(whole, load, 50, SCHEDULE)
    with pytest.raises(Stopped):
        train(build(), load, 50, SCHEDULE, workdir=tmp_path, progress=stop_after(step))
    resumed, steps = build(), []
    again = train(resumed, load, 50, SCHEDULE, workdir=tmp_path, progress=lambda done, *_: steps.append(done))
    np.testing.assert_array_equal(weights(resumed), weights(whole))
    assert [row["loss"] for row in again] == [row["loss"] for row in curve]
    assert steps[0] == (step - 1) // 7 * 7 + 1, "finished epochs were trained again"


def test_damaged_checkpoint_is_ignored(tmp_path):
    whole = build()
    train(whole, load, 50, SCHEDULE, workdir=tmp_path)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-3])
    again = build()
    with pytest.warns(RuntimeWarning, match="training restarts at epoch 1"):
        train(again, load, 50, SCHEDULE, workdir=tmp_path)
    np.testing.assert_array_equal(weights(again), weights(whole))


def test_checkpoint_with_another_schedule_is_ignored(tmp_path):
    other = Schedule(**{**SCHEDULE.__dict__, "identity": "y", "seed": 4})
    train(build(), load, 50, SCHEDULE, workdir=tmp_path)
    fresh, found = build(), build()
    train(fresh, load, 50, other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(found, load, 50, other, workdir=tmp_path)
    np.testing.assert_array_equal(weights(found), weights(fresh))


def test_loss_that_is_not_finite_raises_segue_error():
    with pytest.raises(SegueError, match=r"fit: the loss is (nan|inf) in epoch \d but must be finite: reduce lr=1e"):
        train(build(), load, 50, Schedule(**{**SCHEDULE.__dict__, "lr": 1e20}))

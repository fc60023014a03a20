"""Tests of layer sizes, training and errors of the networks over spectrograms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from segue_papers.encoders.mel_cnn import MelCnnEncoder, MelCnnParams
from segue_papers.encoders.mel_cnn_1d import MelCnn1dEncoder, MelCnn1dParams
from segue_papers.encoders.mel_spectrogram import MelParams, log_mel, mel_windows
from tests.encoders.audio.audio_cases import SMALL_CQT, SMALL_MEL
from tests.encoders.conftest import pure, sound, tone
from toolkit.encoders.audio.cqt_cnn import CqtCnnEncoder, CqtCnnParams
from toolkit.encoders.learning.growing_array import GrowingArray
from toolkit.encoders.learning.supervised_network import SupervisedNetwork
from toolkit.errors import InputError

CASES = [
    (CqtCnnEncoder, SMALL_CQT | {"lr": 5e-3}),
    (MelCnnEncoder, SMALL_MEL | {"filters": [8, 8], "hidden": 8, "lr": 5e-3, "output": "prediction"}),
    (MelCnn1dEncoder, SMALL_MEL | {"filters": [8, 8, 8], "lr": 5e-3}),
]


def test_cqt_cnn_layer_sizes_equal_the_paper():
    encoder = CqtCnnEncoder()
    trunk = encoder._trunk()
    assert encoder.params.frames_left() == 4
    assert encoder.dim == 4096
    with torch.inference_mode():
        assert trunk(torch.zeros(2, 96, 323)).shape == (2, 4096)
        sizes = [tuple(trunk[:end](torch.zeros(1, 96, 323)).shape[1:]) for end in (5, 9, 13, 16)]
    assert sizes == [(256, 80), (512, 19), (1024, 4), (1024, 4)]
    assert [layer.p for layer in trunk if isinstance(layer, torch.nn.Dropout)] == [0.5] * 3
    assert encoder._build(200).dropout == 0.5, "of the fourth layer"


def test_cqt_cnn_begins_at_different_outputs_for_different_positive_inputs():
    """Of inputs that share most of their values an unstandardised network makes almost one vector."""
    rng = np.random.default_rng(0)
    inputs = torch.from_numpy((0.5 + 0.03 * rng.normal(size=(64, 96, 323))).astype(np.float32))
    torch.manual_seed(0)
    trunk = CqtCnnEncoder()._trunk()
    for _ in range(30):
        trunk[0](inputs)  # training estimates mean and deviation of each bin
    with torch.inference_mode():
        with_it, without = trunk.eval()(inputs), trunk[1:](inputs)
    spread = [float(out.std(dim=0).mean() / out.mean()) for out in (with_it, without)]
    assert spread[0] > 5 * spread[1]


def test_mel_networks_read_windows_of_three_seconds():
    with torch.inference_mode():
        assert MelCnnEncoder()._trunk()(torch.zeros(2, 128, 129)).shape == (2, 512)
        assert MelCnn1dEncoder()._trunk()(torch.zeros(2, 128, 129)).shape == (2, 256)
    assert MelCnn1dEncoder().dim == 256
    assert MelCnn1dParams().frames_left() == 1


def test_clip_is_cut_into_whole_windows():
    params = MelParams(rate=8000, window=1.0, bands=8, fft=256, hop=100, pool=1)
    clip = tone(500, 20_100, rate=8000).astype(np.float32)
    windows = mel_windows(clip, params)
    assert windows.shape == (2, 8, 80)
    np.testing.assert_array_equal(np.concatenate(windows, axis=1), log_mel(clip, params)[:, :160])
    short = mel_windows(clip[:300], params)
    assert short.shape == (1, 8, 80)
    assert short[0, :, :3].any() and not short[0, :, 5:].any()
    assert mel_windows(clip[:1], params).shape == (1, 8, 80)


@pytest.mark.parametrize(("cls", "params"), CASES, ids=lambda case: getattr(case, "name", ""))
@pytest.mark.parametrize("loss", ["cosine", "squared", "logistic"])
def test_fitted_network_predicts_targets_of_unseen_clips(cls, params, loss):
    """The fitted network separates unseen high and low tones, and the untrained network does not."""
    frequencies = np.concatenate([np.linspace(100, 250, 12), np.linspace(1200, 1900, 12)])
    labels = np.eye(2, dtype=np.float32)[np.repeat([0, 1], 12)]
    encoder = cls(cls.Params(**params | {"epochs": 25, "loss": loss, "output": "prediction"})).fit(
        [pure(f) for f in frequencies], labels
    )
    found = encoder.transform([pure(f) for f in (130, 210, 1300, 1850)])
    assert found.argmax(axis=1).tolist() == [0, 0, 1, 1]
    assert encoder.curve[-1]["loss"] < 0.5 * encoder.curve[0]["loss"]
    if loss == "cosine":
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    if loss == "logistic":
        assert ((found > 0) & (found < 1)).all()


def test_predictions_have_the_units_of_the_targets():
    model = SupervisedNetwork(torch.nn.Identity(), 2, 2, dropout=0, loss="squared")
    targets = torch.tensor([[1000.0, -3.0], [1010.0, -5.0]])
    model.scale_to(targets)
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    assert model.predict(torch.zeros(1, 2)).tolist() == [[1005.0, -4.0]]
    # nothing but the means predicted: half the variance that was brought to one
    assert float(
        model.losses((torch.zeros(2, 2), targets), torch.zeros(2, 0), beta=0)["loss"].detach()
    ) == pytest.approx(0.5)


def test_dropout_keeps_the_mean_of_its_inputs():
    model = SupervisedNetwork(torch.nn.Identity(), 1000, 1, dropout=0.3, loss="squared")
    torch.nn.init.ones_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    noise = torch.randn(400, 1000, generator=torch.Generator().manual_seed(1))
    heads = []
    model.head.register_forward_pre_hook(lambda _, given: heads.append(given[0]))
    model.losses((torch.ones(400, 1000), torch.zeros(400, 1)), noise, beta=0)
    assert float((heads[0] == 0).float().mean()) == pytest.approx(0.3, abs=0.005)
    assert float(heads[0].mean()) == pytest.approx(1, abs=0.01)


def test_resuming_a_killed_fit_gives_identical_vectors(sounds, tmp_path):
    targets = np.random.default_rng(0).normal(size=(len(sounds), 2)).astype(np.float32)

    def fitted(**options) -> np.ndarray:
        return (
            CqtCnnEncoder(CqtCnnParams(**SMALL_CQT | {"epochs": 4})).fit(sounds, targets, **options).transform(sounds)
        )

    def stop(done, total, what):
        if what.startswith("fit") and done == 5:
            raise InterruptedError

    whole = fitted()
    with pytest.raises(InterruptedError):
        fitted(workdir=tmp_path, progress=stop)
    np.testing.assert_array_equal(fitted(workdir=tmp_path), whole)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_windows_in_a_file_equal_windows_in_memory(tmp_path):
    parts = [np.random.default_rng(n).random((n, 3, 4), dtype=np.float32) for n in (1, 3, 2)]
    tables = [GrowingArray(None), GrowingArray(tmp_path)]
    for table in tables:
        for part in parts:
            table.append(part)
    np.testing.assert_array_equal(tables[0].whole(), tables[1].whole())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (None, "requires targets because it is supervised"),
        (np.zeros((2, 3)), r"targets of shape \(2, 3\) must be \[6, t\]"),
        (np.full((6, 2), np.nan), "targets of input 0 contain nan but must be finite"),
    ],
)
def test_invalid_targets_raise_input_error(targets, message, sounds):
    with pytest.raises(InputError, match=message):
        CqtCnnEncoder(CqtCnnParams(**SMALL_CQT)).fit(sounds, targets)


def test_labels_outside_0_to_1_raise_input_error(sounds):
    with pytest.raises(InputError, match="targets from -1 to 2 must be labels from 0 to 1"):
        CqtCnnEncoder(CqtCnnParams(**SMALL_CQT, loss="logistic")).fit(
            sounds, np.array([[-1.0], [2], [0], [0], [1], [1]])
        )


@pytest.mark.parametrize("clips", [1, 5])
def test_fit_accepts_a_last_batch_with_one_window(clips, sounds):
    """Five clips in batches of four leave a batch of one, for which batch normalisation is undefined."""
    params = MelCnn1dParams(**SMALL_MEL | {"seconds": 0.6, "filters": [4, 4, 4, 4], "pool": 3, "epochs": 1})
    assert params.frames_left() == 1
    targets = np.random.default_rng(0).random((clips, 2))
    encoder = MelCnn1dEncoder(params).fit(sounds[:clips], targets)
    assert np.isfinite(encoder.transform(sounds)).all()
    assert encoder.model is not None and not encoder.model.training


def test_fit_without_readable_files_raises_input_error():
    with pytest.raises(InputError, match="none of 2 audio files can be read"):
        MelCnnEncoder(MelCnnParams(**SMALL_MEL, filters=[2])).fit([b"x", b"y"], np.zeros((2, 1)))


@pytest.mark.parametrize(
    ("cls", "params", "message"),
    [
        (CqtCnnParams, {"seconds": 3}, "must leave at least 1 of 65 frames"),
        (CqtCnnParams, {"hop": 1000}, "hop=1000 must be a multiple of 128"),
        (MelCnnParams, {"window": 0.3}, "must leave at least 1 of 12 frames"),
        (MelCnn1dParams, {"kernel": 4}, "must be odd"),
    ],
)
def test_layers_without_remaining_frames_raise_value_error(cls, params, message):
    with pytest.raises(ValidationError, match=message):
        cls(**params)


def test_clips_of_different_lengths_have_one_vector_per_clip():
    encoder = MelCnn1dEncoder(MelCnn1dParams(**SMALL_MEL | {"filters": [4, 4]}))
    clips = [sound(1, seconds=seconds) for seconds in (0.1, 0.7, 5)]
    rows = encoder.fit(clips, np.eye(3, dtype=np.float32)).transform(clips)
    assert rows.shape == (3, 4)
    assert np.isfinite(rows).all()

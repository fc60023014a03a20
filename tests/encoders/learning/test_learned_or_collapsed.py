"""Tests that networks of encoders that did not learn are flagged, also from the cache, and that others are not."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

from segue_papers.encoders.mel_cnn import MelCnnEncoder
from segue_papers.encoders.mel_cnn_1d import MelCnn1dEncoder
from segue_papers.encoders.spectrogram_dbn import SpectrogramDbnEncoder
from tests.encoders.audio.audio_cases import SMALL_CQT, SMALL_MEL
from tests.encoders.conftest import picture, pure, sound
from tests.encoders.learning.test_weighted_error import feedback
from toolkit.contracts.learning import Learning, effective_rank
from toolkit.encoders.audio.cqt_cnn import CqtCnnEncoder
from toolkit.encoders.contract.content_hash import files_digest
from toolkit.encoders.contract.encode import FitOn, encode
from toolkit.encoders.contract.encoder import Encoder
from toolkit.encoders.contract.field_values import FieldValues
from toolkit.encoders.features.features_vae import FeaturesVaeEncoder, FeaturesVaeParams
from toolkit.encoders.image.image_ae import ImageAeEncoder
from toolkit.encoders.image.image_vae import ImageVaeEncoder
from toolkit.encoders.learning.autoencoder_network import mlp_autoencoder
from toolkit.encoders.learning.supervised_network import SupervisedNetwork
from toolkit.encoders.learning.train_network import Schedule, TrainableNetwork, train
from toolkit.encoders.learning.weight_distance import MOST, WeightStart
from toolkit.encoders.learning.weighted_prediction_error import constant_weighted_error, weighted_error
from toolkit.encoders.text.tfidf import TfidfEncoder
from toolkit.encoders.text.word2vec import Word2vecEncoder, Word2vecParams
from toolkit.errors import DataError
from toolkit.modality import Modality
from toolkit.seeds import seeded_weights

RNG = np.random.default_rng(5)
INPUTS = RNG.normal(size=(400, 10)).astype(np.float32)
FACTORS = (INPUTS @ RNG.normal(size=(10, 6)) + 0.3 * RNG.normal(size=(400, 6))).astype(np.float32)
NOISE = RNG.normal(size=(400, 6)).astype(np.float32)


def trained(
    targets: np.ndarray, loss: Any = "squared", *, dropout: float = 0.0, prepare: Any = None, **schedule: Any
) -> SupervisedNetwork:
    """Return a network of two layers, trained to predict `targets` from `INPUTS`."""
    rows, answers = torch.from_numpy(INPUTS), torch.from_numpy(targets)
    trunk = nn.Sequential(nn.Linear(10, 32), nn.ReLU())
    model = seeded_weights(lambda: SupervisedNetwork(trunk, 32, targets.shape[1], dropout=dropout, loss=loss), 1)
    model.scale_to(answers)
    if prepare is not None:
        prepare(model)
    plan = {"epochs": 30, "batch": 32, "lr": 5e-3, "beta": 0.0, "seed": 2, "device": "cpu", "identity": "x"}
    train(model, lambda at: (rows[at], answers[at]), len(rows), Schedule(**plan | schedule))
    return model


def learned(model: SupervisedNetwork, targets: np.ndarray) -> Learning:
    with torch.inference_mode():
        return model.learning.of_task(targets).of_vectors(model.trunk(torch.from_numpy(INPUTS)).numpy())


LABELS = (FACTORS > 0).astype(np.float32)


@pytest.mark.parametrize(("loss", "targets"), [("squared", FACTORS), ("cosine", FACTORS), ("logistic", LABELS)])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_network_that_predicts_its_targets_is_not_collapsed(loss: str, targets: np.ndarray, dropout: float) -> None:
    record = learned(trained(targets, loss, dropout=dropout), targets)
    assert record.loss is not None and record.constant is not None and record.moved is not None
    assert record.loss < 0.7 * record.constant
    assert record.moved > 0.1
    assert record.collapsed == ""


@pytest.mark.parametrize("loss", ["squared", "cosine", "logistic"])
def test_network_with_a_learning_rate_of_zero_is_collapsed(loss: str) -> None:
    targets = LABELS if loss == "logistic" else FACTORS
    assert learned(trained(targets, loss, lr=1e-12), targets).collapsed == "the weights did not change"


def test_network_that_predicts_the_mean_of_noise_is_collapsed() -> None:
    """A penalty on the weights, as the targets cannot be learned, leaves the mean alone."""

    class Penalised(SupervisedNetwork):
        def losses(self, inputs: Any, noise: Any, *, beta: float) -> dict[str, torch.Tensor]:
            error = super().losses(inputs, noise, beta=beta)["loss"]
            penalty = self.head.weight.square().sum() + self.trunk[0].weight.square().sum()
            return {"loss": error + penalty if self.training else error}

    rows, answers = torch.from_numpy(INPUTS), torch.from_numpy(NOISE)
    trunk = nn.Sequential(nn.Linear(10, 32), nn.ReLU())
    model = seeded_weights(lambda: Penalised(trunk, 32, 6, dropout=0, loss="squared"), 1)
    model.scale_to(answers)
    train(model, lambda at: (rows[at], answers[at]), 400, Schedule(30, 32, 5e-3, 0.0, 2, "cpu", "x"))
    assert model.learning.collapsed.endswith("the loss of the best constant prediction")
    assert model.learning.loss == pytest.approx(model.learning.constant, rel=2e-3)


def test_network_that_learns_noise_by_heart_is_not_collapsed() -> None:
    """Only the training loss is compared: overfitting shows on validation."""
    assert learned(trained(NOISE, epochs=150), NOISE).collapsed == ""


def test_network_with_dead_units_is_collapsed() -> None:
    def kill(model: SupervisedNetwork) -> None:
        torch.nn.init.constant_(model.trunk[0].bias, -1e4)

    record = learned(trained(FACTORS, prepare=kill), FACTORS)
    assert "must be more than 0.1 % below" in record.collapsed
    assert Learning(rank=record.rank, dim=32).collapsed == "all vectors are equal"


def test_network_with_one_live_unit_is_collapsed() -> None:
    def kill(model: SupervisedNetwork) -> None:
        bias = torch.full((32,), -1e4)
        bias[0] = 0
        model.trunk[0].bias.data.copy_(bias)

    record = learned(trained(FACTORS, prepare=kill), FACTORS)
    assert record.collapsed == "effective rank 1.00 of 32 dimensions is below 2"


@pytest.mark.parametrize("loss", ["squared", "cosine", "logistic"])
def test_constant_loss_is_the_least_loss_of_a_head_without_inputs(loss: Any) -> None:
    """The slow way: descend on the bias of a network whose inputs are zero."""
    targets = torch.from_numpy(LABELS if loss == "logistic" else FACTORS + 0.7)
    model = SupervisedNetwork(nn.Identity(), 4, 6, dropout=0, loss=loss)
    model.scale_to(targets)
    steps = [((torch.zeros(len(part), 4), part), torch.zeros(len(part), 0)) for part in targets.split(64)]
    optimizer = torch.optim.LBFGS([model.head.bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = model.losses((torch.zeros(len(targets), 4), targets), torch.zeros(0), beta=0)["loss"]
        value.backward()
        return value

    optimizer.step(closure)
    assert model.constant_loss(steps) == pytest.approx(float(closure()), rel=1e-4)


def test_constant_weighted_error_is_the_least_of_all_constant_predictions() -> None:
    known = feedback(9, 15, 4)
    users = torch.from_numpy(known.users.astype(np.float64))
    owners, who, confidence = known.batch(np.arange(9))
    guess = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([guess], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = weighted_error(guess.expand(9, 4), users, users.T @ users, owners, who, confidence.double())
        value.backward()
        return value

    optimizer.step(closure)
    found = constant_weighted_error(users, users.T @ users, who, confidence, 9)
    assert found == pytest.approx(float(closure()), rel=1e-8)


def test_constant_loss_of_an_autoencoder_is_half_the_variance_of_its_inputs() -> None:
    model = mlp_autoencoder(10, [8], 4)
    steps = [(part, torch.zeros(len(part), 4)) for part in torch.from_numpy(INPUTS + 3).split(70)]
    expected = 0.5 * np.square(INPUTS - INPUTS.mean(axis=0)).sum(axis=1).mean()
    assert model.constant_loss(steps) == pytest.approx(expected, rel=1e-5)


def test_network_without_a_constant_loss_is_judged_by_weights_alone() -> None:
    class Plain(TrainableNetwork):
        latent = 0

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def losses(self, inputs: Any, noise: Any, *, beta: float) -> dict[str, torch.Tensor]:
            return {"loss": (self.weight * inputs).square().mean()}

    found = []
    for rate in (1e-12, 1e-2):
        model = Plain()
        train(model, lambda rows: torch.ones(len(rows), 3), 20, Schedule(2, 4, rate, 0.0, 0, "cpu", "x"))
        assert (model.learning.loss, model.learning.constant) == (None, None)
        found.append(model.learning.collapsed)
    assert found == ["the weights did not change", ""]


def test_resumed_training_has_the_same_record(tmp_path: Path) -> None:
    def once(workdir: Path | None, stop: int = 0) -> Learning:
        model = seeded_weights(lambda: mlp_autoencoder(10, [8], 4), 1)
        data = torch.from_numpy(INPUTS)

        def progress(done: int, total: int, what: str) -> None:
            if done == stop:
                raise InterruptedError

        plan = Schedule(4, 50, 1e-2, 0.1, 0, "cpu", "x")
        train(model, lambda rows: data[rows], 400, plan, workdir=workdir, progress=progress)
        return model.learning

    whole = once(None)
    with pytest.raises(InterruptedError):
        once(tmp_path, stop=20)
    assert once(tmp_path) == whole
    assert once(tmp_path) == whole  # nothing is left to train


def test_weight_distance_equals_that_of_all_weights() -> None:
    small, large = torch.randn(50), torch.randn(3 * MOST + 5, 2)
    start = WeightStart([small, large])
    after = [small + 0.1 * torch.randn(50), large + 0.1 * torch.randn_like(large)]
    moved = sum(float((b - a).square().sum()) for a, b in zip((small, large), after, strict=True))
    norm = sum(float(b.square().sum()) for b in after)
    assert start.distance(after) == pytest.approx((moved / norm) ** 0.5, rel=0.02)
    assert start.distance([small, large]) == 0


# encoders, on planted signals


def encoded(encoder: Encoder, values: Any, targets: np.ndarray | None, cache: Path, **fit: Any) -> Modality:
    ids = [f"t{number}" for number in range(len(values))]
    field = FieldValues("sound", ids, np.ones(len(ids), bool), values)
    return encode(encoder, field, cache=cache, fit_on=FitOn(targets=targets, **fit))


TONES = np.geomspace(120, 3000, 24)
CLIPS = [pure(frequency) for frequency in TONES]
PITCH = np.exp(-np.square((np.log(TONES)[:, None] - np.log(np.geomspace(120, 3000, 8))[None]) / 0.3)).astype(np.float32)
"""Targets [24, 8] that tell eight pitches apart."""
CNN_CASES: list[tuple[type[Encoder], dict[str, Any]]] = [
    (CqtCnnEncoder, SMALL_CQT | {"lr": 5e-3}),
    (MelCnnEncoder, SMALL_MEL | {"filters": [8, 8], "hidden": 8, "lr": 5e-3}),
    (MelCnn1dEncoder, SMALL_MEL | {"filters": [8, 8, 8], "lr": 5e-3}),
]


@pytest.mark.parametrize(("cls", "params"), CNN_CASES, ids=lambda case: getattr(case, "name", ""))
@pytest.mark.parametrize("output", ["embedding", "prediction"])
def test_audio_network_is_flagged_after_few_epochs_and_not_after_many(
    cls: type[Encoder], params: dict[str, Any], output: str, tmp_path: Path
) -> None:
    few, many = (
        cls(cls.Params(**params | {"output": output, "loss": "cosine", "epochs": epochs, "lr": rate}), seed=1)
        for epochs, rate in ((1, 1e-5), (40, 5e-3))
    )
    assert encoded(few, CLIPS, PITCH, tmp_path).collapsed
    assert encoded(many, CLIPS, PITCH, tmp_path).collapsed == ""


def test_audio_network_with_weighted_loss_is_judged_by_its_loss(tmp_path: Path) -> None:
    users = PITCH.repeat(3, axis=0) + 0.01
    played = sp.csr_matrix((5 * (PITCH @ users.T > 1)).astype(np.float32))
    known = type(feedback(2, 2, 2))(users.astype(np.float32), played)
    params = SMALL_MEL | {"filters": [8, 8, 8], "loss": "weighted", "output": "prediction"}
    for epochs, rate, good in ((1, 1e-6, False), (60, 1e-2, True)):
        encoder = MelCnn1dEncoder(MelCnn1dEncoder.Params(**params | {"epochs": epochs, "lr": rate}), seed=1)
        found = encoded(encoder, CLIPS, PITCH, tmp_path, feedback=known)
        record = encoder.learning
        assert record is not None and record.loss is not None and record.constant is not None
        assert (record.loss < record.constant) == good
        assert (found.collapsed == "") == good


DBN = {"rate": 8000, "seconds": 2.0, "bands": 40, "components": 30, "hidden": [40, 40, 30], "batch": 16, "lr": 0.02}


@pytest.fixture(scope="module")
def notes() -> list[bytes]:
    return [sound(number) for number in range(80)]


@pytest.mark.parametrize(("epochs", "good"), [(5, False), (30, False), (400, True)])
def test_deep_belief_network_is_flagged_until_all_layers_have_learned(
    notes: list[bytes], epochs: int, good: bool, tmp_path: Path
) -> None:
    encoder = SpectrogramDbnEncoder(SpectrogramDbnEncoder.Params(**DBN | {"epochs": epochs}), seed=1)
    found = encoded(encoder, notes, None, tmp_path)
    assert (found.matrix[1:].std(axis=0).mean() > 0.01) == good
    assert effective_rank(found.matrix[1:]) > 5  # the rank does not show units that hardly differ
    assert (found.collapsed == "") == good


@pytest.mark.parametrize("cls", [ImageAeEncoder, ImageVaeEncoder])
def test_image_autoencoder_is_flagged_only_if_it_did_not_learn(cls: type[Encoder], tmp_path: Path) -> None:
    covers = [picture(number) for number in range(60)]
    params = {"size": 32, "patch": 4, "channels": [16, 16], "latent": 16, "batch": 8, "bf16": "off"}
    good = cls(cls.Params(**params | {"epochs": 25, "lr": 5e-3}))
    assert encoded(good, covers, None, tmp_path).collapsed == ""
    bad = cls(cls.Params(**params | {"epochs": 1, "lr": 1e-12}))
    assert encoded(bad, covers, None, tmp_path).collapsed == "the weights did not change"


def test_features_vae_whose_prior_outweighs_its_inputs_is_collapsed(tmp_path: Path) -> None:
    params = {"latent": 6, "hidden": [32], "epochs": 30, "batch": 32, "lr": 5e-3}
    good = FeaturesVaeEncoder(FeaturesVaeParams(**params, beta=0.05))
    assert encoded(good, INPUTS, None, tmp_path).collapsed == ""
    bad = FeaturesVaeEncoder(FeaturesVaeParams(**params, beta=100))
    assert "the loss of the best constant prediction" in encoded(bad, INPUTS, None, tmp_path).collapsed


def test_word2vec_that_learned_its_words_is_not_collapsed(tmp_path: Path) -> None:
    pytest.importorskip("gensim")
    texts = [" ".join(RNG.choice([f"w{group}{n}" for n in range(6)], 12)) for group in RNG.integers(0, 5, 150)]
    encoder = Word2vecEncoder(Word2vecParams(dim=16, epochs=8), seed=1)
    assert encoded(encoder, texts, None, tmp_path).collapsed == ""
    assert encoder.learning is not None and encoder.learning.moved is not None and encoder.learning.moved > 0.01


def test_encoders_that_train_nothing_are_never_flagged(tmp_path: Path) -> None:
    encoder = TfidfEncoder(TfidfEncoder.Params(dim=0))
    found = encoded(encoder, ["rock", "rock pop", "pop jazz", "rock jazz folk"] * 3, None, tmp_path)
    assert encoder.learning is None and found.collapsed == ""


def test_cached_encoding_is_flagged_again(tmp_path: Path) -> None:
    params = FeaturesVaeParams(latent=6, hidden=[8], epochs=2, lr=1e-12)
    first = encoded(FeaturesVaeEncoder(params), INPUTS, None, tmp_path)
    again = FeaturesVaeEncoder(params)
    again._train = None  # type: ignore[assignment, method-assign]
    assert encoded(again, INPUTS, None, tmp_path).collapsed == first.collapsed == "the weights did not change"


def test_cached_encoding_without_a_record_is_judged_by_its_rank(tmp_path: Path) -> None:
    """Earlier versions kept no record."""
    import json

    params = FeaturesVaeParams(latent=6, hidden=[8], epochs=2, lr=1e-12)
    encoded(FeaturesVaeEncoder(params), INPUTS, None, tmp_path)
    (path,) = tmp_path.glob("*.encoder/encoder.json")
    about = json.loads(path.read_text())
    assert about.pop("learning")["moved"] < 1e-9
    path.write_text(json.dumps(about))
    entry = path.parent.with_suffix("")
    entry.with_suffix(".blake2b").write_text(files_digest(sorted(path.parent.iterdir())))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = FeaturesVaeEncoder(params)
        assert encoded(again, INPUTS, None, tmp_path).collapsed == ""
    assert again.learning == Learning()


def test_saved_encoder_keeps_the_record(tmp_path: Path) -> None:
    encoder = FeaturesVaeEncoder(FeaturesVaeParams(latent=6, epochs=2)).fit(INPUTS)
    encoder.save(tmp_path)
    assert FeaturesVaeEncoder.load(tmp_path).learning == encoder.learning


def test_saved_parameters_of_a_larger_network_than_the_weights_are_refused_before_it_is_built(tmp_path: Path) -> None:
    import json
    import resource

    FeaturesVaeEncoder(FeaturesVaeParams(latent=6, epochs=2)).fit(INPUTS).save(tmp_path)
    about = json.loads((tmp_path / "encoder.json").read_text())
    about["params"]["hidden"] = [20_000, 40_000]
    (tmp_path / "encoder.json").write_text(json.dumps(about))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="saved weights are smaller than the network"):
        FeaturesVaeEncoder.load(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10

"""Tests of the track-level systems of Oramas et al. 2017: late fusion, a joint network, and missing modalities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segue.checks.check_ranker import check_ranker
from tests.coldstart.planted_content import FACTORS, TRACKS, Planted, difference, modality, plant
from toolkit import plugins
from toolkit.errors import InputError
from toolkit.modality import Modality

FUSED = {"epochs": 30, "lr": 1e-2, "batch": 16, "dropout": 0.3}
BINS, FRAMES = 8, 24
JOINT = {
    "bins": BINS,
    "filters": [8, 12],
    "kernel": 3,
    "pool": 2,
    "hidden": [16],
    "epochs": 12,
    "lr": 5e-3,
    "batch": 16,
    "dropout": 0.2,
}


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant()


@pytest.fixture(scope="module")
def sound(planted: Planted) -> Modality:
    """Return an embedding that distinguishes three groups of tastes."""
    rng = np.random.default_rng(0)
    return modality(np.eye(3)[planted.kinds % 3] @ rng.normal(size=(3, 12)) + rng.normal(0, 0.4, (TRACKS, 12)), "sound")


@pytest.fixture(scope="module")
def text(planted: Planted) -> Modality:
    """Return an embedding of another dimension that distinguishes two halves of each group."""
    rng = np.random.default_rng(1)
    return modality(
        np.eye(2)[planted.kinds // 3] @ rng.normal(size=(2, 20)) * 5 + rng.normal(0, 2, (TRACKS, 20)), "text"
    )


@pytest.fixture(scope="module")
def spectrogram(planted: Planted) -> Modality:
    """Return a spectrogram with a tone whose frequency depends on the group of `sound`, at any time."""
    rng = np.random.default_rng(2)
    made = rng.normal(0, 0.3, (TRACKS, BINS, FRAMES))
    for track, kind in enumerate(planted.kinds % 3):
        start = rng.integers(FRAMES - 6)
        made[track, 2 * kind + 1, start : start + 6] += 2
    return modality(made.reshape(TRACKS, -1), "sound")


@pytest.mark.parametrize("hidden", [None, 16], ids=["MM-LF-LIN", "MM-LF-H1"])
def test_fusion_auc_is_higher_with_two_modalities_than_with_one(
    hidden: int | None, planted: Planted, sound: Modality, text: Modality
) -> None:
    both = planted.aucs(planted.fitted("late-fusion", sound, text, **FUSED, hidden=hidden))
    for alone in (sound, text):
        one = planted.aucs(planted.fitted("late-fusion", alone, **FUSED, hidden=hidden))
        assert difference(one, planted.chance).low > 0
        assert difference(both, one).low > 0
    assert difference(planted.bound, both).low > 0


def test_joint_network_auc_is_higher_with_two_inputs(planted: Planted, spectrogram: Modality, text: Modality) -> None:
    both = planted.aucs(planted.fitted("joint-network", spectrogram, text, **JOINT, spectrogram="sound"))
    audio_only = planted.aucs(planted.fitted("joint-network", spectrogram, **JOINT, spectrogram="sound"))
    assert difference(audio_only, planted.chance).low > 0
    assert difference(both, audio_only).low > 0
    assert difference(planted.bound, both).low > 0


def test_fusion_of_shuffled_content_has_auc_near_random(planted: Planted, sound: Modality, text: Modality) -> None:
    order = np.concatenate([[0], np.random.default_rng(1).permutation(TRACKS) + 1])
    dealt = [Modality(one.name, one.matrix[order], one.present[order]) for one in (sound, text)]
    assert abs(planted.aucs(planted.fitted("late-fusion", *dealt, **FUSED)).mean() - 0.5) < 0.1


def test_late_fusion_does_not_depend_on_modality_scale(planted: Planted, sound: Modality, text: Modality) -> None:
    """Late fusion is a linear layer over vectors with unit norm."""
    larger = Modality("sound", sound.matrix * 7, sound.present)
    first = planted.fitted("late-fusion", sound, text, **FUSED).state["items"]
    second = planted.fitted("late-fusion", larger, text, **FUSED).state["items"]
    np.testing.assert_allclose(second, first, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(first[1:][~planted.warm], axis=1), 1, rtol=1e-5)


def test_track_without_a_modality_is_ranked_by_the_other(planted: Planted, sound: Modality, text: Modality) -> None:
    cold = np.flatnonzero(~planted.warm) + 1
    present = text.present.copy()
    present[cold[:30]] = False
    less = Modality("text", np.where(present[:, None], text.matrix, 99.0).astype(np.float32), present)
    nothing = Modality("sound", sound.matrix, np.where(np.arange(TRACKS + 1) == cold[0], False, sound.present))
    scores = planted.fitted("late-fusion", nothing, less, **FUSED).score(planted.test.queries(), cold)
    assert np.isneginf(scores[:, 0]).all() and np.isfinite(scores[:, 1:]).all()


def test_network_on_random_embeddings_has_auc_near_random(planted: Planted) -> None:
    ranker = planted.fitted("random-embeddings", **FUSED, width=64)
    assert abs(planted.aucs(ranker).mean() - 0.5) < 0.1
    again = planted.fitted("random-embeddings", **FUSED, width=64)
    np.testing.assert_array_equal(ranker.state["items"], again.state["items"])
    assert ranker.state["ranked"][1:].all()
    assert ranker.learning is not None and ranker.learning.loss is not None and ranker.learning.constant is not None
    assert ranker.learning.loss < ranker.learning.constant, "the network is trained"


def test_hidden_layer_of_late_fusion_has_dropout_after_its_input_and_itself() -> None:
    import torch

    from segue_papers.rankers.network_branches import DenseBranch

    branch = DenseBranch(400, 3, 0.7)
    norm, dropout, *rest = branch
    kept = (dropout(norm(torch.randn(50, 400))) != 0).float().mean()
    assert abs(float(kept) - 0.3) < 0.02
    assert [type(layer).__name__ for layer in (norm, *rest)] == ["BatchNorm1d", "Linear", "ReLU"]


@pytest.mark.parametrize("name", ["late-fusion", "joint-network", "random-embeddings"])
def test_track_systems_pass_check_ranker(name: str, planted: Planted, spectrogram: Modality, text: Modality) -> None:
    params = {**JOINT, "spectrogram": "sound"} if name == "joint-network" else {**FUSED, "hidden": 8}
    params |= {"width": 16} if name == "random-embeddings" else {}
    params |= {"epochs": 2, "factors": FACTORS.model_dump()}
    data = replace(planted.data, modalities={"sound": spectrogram, "text": text}, device="cpu")
    check_ranker(lambda: plugins.load("segue.rankers", name)(**params), data, planted.test)


@pytest.mark.parametrize("hidden", [None, 16], ids=["MM-LF-LIN", "MM-LF-H1"])
def test_resuming_a_killed_network_fit_gives_identical_state(
    hidden: int | None, planted: Planted, sound: Modality, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.encoders.learning import train_network

    data = replace(planted.data, modalities={"sound": sound}, device="cpu", workdir=tmp_path)
    params = {**FUSED, "hidden": hidden, "epochs": 4, "factors": FACTORS.model_dump()}
    cls, epoch = plugins.load("segue.rankers", "late-fusion"), train_network._Run.epoch

    def broken(run: train_network._Run, number: int, *rest: object) -> train_network.Epoch:
        if number == 2:
            raise InterruptedError
        return epoch(run, number, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(train_network._Run, "epoch", broken)
        cls(**params).fit(data)
    resumed, whole = cls(**params).fit(data), cls(**params).fit(replace(data, workdir=None))
    np.testing.assert_array_equal(resumed.state["items"], whole.state["items"])


def test_joint_network_without_spectrogram_raises_input_error(
    planted: Planted, sound: Modality, spectrogram: Modality
) -> None:
    with pytest.raises(InputError, match="spectrogram='audio' is not a modality: use one of sound"):
        planted.fitted("joint-network", sound)
    with pytest.raises(InputError, match="'sound' with 12 dimensions is not a spectrogram with bins=8"):
        planted.fitted("joint-network", sound, **JOINT, spectrogram="sound")
    with pytest.raises(InputError, match="joint-network requires a modality"):
        planted.fitted("joint-network")

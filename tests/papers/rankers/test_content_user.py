"""Tests of the content-user embedding model, with its loss, contract and ranking of planted sounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segue.checks.check_ranker import check_ranker
from segue_papers.encoders.log_mel import LogMelParams
from segue_papers.rankers.content_user import ContentUser, IdItem
from segue_papers.rankers.content_user_network import LookUp, Shape, Sounds, margin_loss, softmax_loss
from tests.coldstart.test_rankers import Planted, _reached
from toolkit.corpus.queries import Queries
from toolkit.errors import InputError
from toolkit.modality import Modality
from toolkit.ranker import TrainingData

SOUND = LogMelParams(rate=8000, seconds=0.24, window=0.12, hop=80, bands=4, fft=256)
SMALL = {"width": 16, "filters": [16, 16], "epochs": 6, "batch": 32, "lr": 0.2}


def sounds(data: TrainingData, *, shuffled: bool = False) -> TrainingData:
    """Return the planted modalities as spectrograms, with the group encoded in one of two bands."""
    rng = np.random.default_rng(11)
    bands, frames = SOUND.shape()
    matrix = rng.normal(0, 0.5, (data.n_items + 1, bands, frames)).astype(np.float32)
    present = np.ones(len(matrix), bool)
    for band, modality in enumerate(data.modalities.values()):
        matrix[:, band] += modality.matrix[:, :1]
        present &= modality.present
    order = np.concatenate([[0], rng.permutation(data.n_items) + 1]) if shuffled else np.arange(len(matrix))
    sound = Modality(
        "sound", matrix.reshape(len(matrix), -1)[order], present[order], f"log-mel {SOUND.model_dump_json()}"
    )
    return replace(data, modalities={"sound": sound})


def test_margin_loss_equals_a_case_by_hand() -> None:
    right, wrong = (
        torch.tensor([0.9, 0.1], dtype=torch.float64),
        torch.tensor([[0.8, 0.0], [0.3, -0.5]], dtype=torch.float64),
    )
    counts = torch.tensor([[True, True], [True, False]])
    # .2 − .9 + .8 = .1, nothing of 0; .2 − .1 + .3 = .4, the other is not a wrong answer
    assert margin_loss(right, wrong, counts, 0.2).item() == pytest.approx((0.1 + 0.4) / 2)
    at = (right.requires_grad_(), wrong.requires_grad_())
    assert torch.autograd.gradcheck(lambda r, w: margin_loss(r, w, counts, 0.25), at)


def test_softmax_loss_equals_a_case_by_hand() -> None:
    right, wrong = torch.tensor([0.5, -0.2], dtype=torch.float64), torch.tensor([[0.1, 0.4], [1.0, 3.0]]).double()
    counts = torch.tensor([[True, True], [True, False]])
    first = -np.log(np.exp(0.5) / (np.exp(0.5) + np.exp(0.1) + np.exp(0.4)))
    second = -np.log(np.exp(-0.2) / (np.exp(-0.2) + np.exp(1.0)))
    assert softmax_loss(right, wrong, counts).item() == pytest.approx((first + second) / 2, abs=1e-6)


def test_user_tower_has_a_relu_after_every_layer_but_the_last() -> None:
    tower = LookUp(5, 4, unit=False)
    first, second = tower.dense[1], tower.dense[3]
    hidden = tower.table.weight.clamp_min(0) @ first.weight.T + first.bias
    by_hand = hidden.clamp_min(0) @ second.weight.T + second.bias
    assert torch.allclose(tower(torch.arange(5)), by_hand, atol=1e-6) and (by_hand < 0).any()
    unit = LookUp(5, 4)(torch.arange(5))
    assert torch.allclose(unit.norm(dim=1), torch.ones(5), atol=1e-6)


def test_sounds_read_any_window_and_average_consecutive_windows() -> None:
    table = np.random.default_rng(4).normal(size=(3, 2, 11)).astype(np.float32)
    tower = Sounds(table, 4, np.array([1, 2]), Shape([3], 1, 1, 5)).eval()
    with torch.inference_mode():
        windows = torch.stack([tower._vectors(table[1:2, :, start : start + 4])[0] for start in range(8)])
        units = torch.nn.functional.normalize(windows, dim=1)
        drawn = torch.tensor([0.0, 0.5, 1.0])
        assert torch.allclose(tower(torch.tensor([1, 1, 1]), drawn), units[[0, 4, 7]], atol=1e-6)
        mean = torch.nn.functional.normalize(units[[0, 4]].mean(dim=0), dim=0)
        assert torch.allclose(tower.whole(torch.tensor([1]))[0], mean, atol=1e-6)


@pytest.mark.parametrize("given", [{"score": "dot"}, {"loss": "softmax"}, {"score": "dot", "loss": "softmax"}])
def test_variants_of_score_and_loss_pass_check_ranker(given: dict[str, str], planted: Planted) -> None:
    data, test = planted
    check_ranker(lambda: IdItem(width=8, epochs=1, lr=0.02, **given), data, test)
    fitted = IdItem(width=8, epochs=2, lr=0.02, **given).fit(data)
    norms = np.linalg.norm(fitted.state["items"][fitted.state["ranked"]], axis=1)
    assert np.allclose(norms, 1, atol=1e-5) == ("score" not in given)


@pytest.mark.parametrize("cls", [ContentUser, IdItem])
def test_content_user_ranker_passes_check_ranker(cls: type[IdItem], planted: Planted) -> None:
    data, test = planted
    small = SMALL | {"epochs": 1} if cls is ContentUser else {"width": 8, "epochs": 1}
    check_ranker(lambda: cls(**small), sounds(data), test)


@pytest.fixture(scope="module")
def fitted(planted: Planted) -> ContentUser:
    return ContentUser(**SMALL).fit(sounds(planted[0]))


def test_recall_of_unplayed_tracks_is_higher_than_with_shuffled_audio(fitted: ContentUser, planted: Planted) -> None:
    data, test = planted
    assert fitted.curve[-1]["loss"] < 0.5 * fitted.curve[0]["loss"]
    assert _reached(fitted, sounds(data), test) > 0.85
    dealt = sounds(data, shuffled=True)
    assert abs(_reached(ContentUser(**SMALL).fit(dealt), dealt, test) - 0.5) < 0.15


def test_new_users_are_averages_of_their_tracks(fitted: ContentUser, planted: Planted) -> None:
    data, _ = planted
    items, played = fitted.state["items"], data.train.corpus.items[:3]
    queries = Queries(played, np.array([0, 3]), rows=np.array([data.train.rows[7]]))
    assert np.array_equal(fitted.users(queries)[0][0], fitted.state["users"][7])
    mean = items[played].sum(axis=0)
    assert np.allclose(fitted.users(Queries.of([played.tolist()]))[0][0], mean / np.linalg.norm(mean), atol=1e-6)
    assert np.isneginf(fitted.score(Queries.of([[]]), np.arange(1, 20))).all()


def test_id_item_does_not_rank_unplayed_tracks(planted: Planted) -> None:
    data, test = planted
    ranker = IdItem(width=8, epochs=1).fit(data)
    cold = np.flatnonzero(data.train.counts() == 0)[1:]
    assert np.isneginf(ranker.score(test.queries(), cold)).all()
    assert np.isfinite(ranker.score(test.queries(), np.flatnonzero(data.train.counts()))).all()


def test_resuming_a_killed_fit_gives_an_identical_state(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = replace(sounds(planted[0]), workdir=tmp_path)
    small = SMALL | {"epochs": 2}
    whole = ContentUser(**small).fit(replace(data, workdir=None))
    from toolkit.encoders.learning import train_network

    checkpoint, saves = train_network._Run.checkpoint, list[int]()

    def once(run: train_network._Run, path: Path, curve: list[train_network.Epoch]) -> None:
        checkpoint(run, path, curve)
        saves.append(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train_network._Run, "checkpoint", once)
        ContentUser(**small).fit(data)
    again = ContentUser(**small).fit(data)
    assert saves == [1] and all(np.array_equal(again.state[name], whole.state[name]) for name in whole.state)


def test_modality_that_is_not_log_mel_raises_input_error(planted: Planted) -> None:
    data, _ = planted
    with pytest.raises(InputError, match="requires exactly 1 modality, but 2 are set"):
        ContentUser().fit(data)
    with pytest.raises(InputError, match="modality 'audio' is from encoder '': encode 'audio' with log-mel"):
        ContentUser().fit(replace(data, modalities={"audio": data.modalities["audio"]}))

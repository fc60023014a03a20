"""Tests that networks of rankers that did not learn are flagged, in memory and loaded, and that others are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue_papers.rankers.content_user import ContentUser, IdItem
from tests.coldstart.conftest import planted_tastes
from tests.coldstart.planted_content import TRACKS, Planted, modality, plant
from tests.papers.rankers.test_content_user import SMALL, sounds
from toolkit.contracts.learning import Learning
from toolkit.modality import Modality
from toolkit.ranker import Ranker

MLP = {"hidden": [32], "epochs": 40, "lr": 5e-3, "batch": 16}
TOWERS = {"hidden": [32], "dim": 12, "epochs": 8, "lr": 5e-3, "seeds": 6, "batch": 64}
FUSED = {"epochs": 40, "lr": 5e-3, "batch": 16}
NETWORKS: list[tuple[str, dict[str, Any]]] = [("mlp", MLP), ("two-tower", TOWERS), ("late-fusion", FUSED)]


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant()


@pytest.fixture(scope="module")
def content(planted: Planted) -> Modality:
    rng = np.random.default_rng(0)
    return modality(np.eye(6)[planted.kinds] @ rng.normal(size=(6, 12)) + rng.normal(0, 0.4, (TRACKS, 12)), "sound")


@pytest.mark.parametrize(("name", "params"), NETWORKS)
def test_network_with_content_is_not_collapsed(
    name: str, params: dict[str, Any], planted: Planted, content: Modality
) -> None:
    assert planted.fitted(name, content, **params).collapsed == ""


@pytest.mark.parametrize(("name", "params"), NETWORKS)
def test_network_with_a_learning_rate_of_zero_is_collapsed(
    name: str, params: dict[str, Any], planted: Planted, content: Modality, tmp_path: Path
) -> None:
    ranker = planted.fitted(name, content, **params | {"epochs": 1, "lr": 1e-12})
    assert ranker.collapsed == "the weights did not change"
    ranker.save(tmp_path)
    assert type(ranker).load(tmp_path).learning == ranker.learning


def test_network_with_a_step_too_small_is_collapsed_by_its_loss(planted: Planted, content: Modality) -> None:
    for loss in ("cosine", "squared"):
        ranker = planted.fitted("mlp", content, **MLP | {"epochs": 1, "lr": 1e-5, "loss": loss})
        assert "the loss of the best constant prediction" in ranker.collapsed


def test_network_over_collapsed_content_is_not_flagged_for_its_rank(planted: Planted) -> None:
    """The encoder is at fault, and is flagged itself."""
    rng = np.random.default_rng(0)
    line = np.outer(planted.kinds + rng.normal(0, 0.1, TRACKS), rng.normal(size=12))
    ranker = planted.fitted("late-fusion", modality(line, "line"), **FUSED)
    assert ranker.learning is not None and ranker.learning.least_rank < 1
    assert "effective rank" not in ranker.collapsed


def test_second_fit_replaces_the_record(planted: Planted, content: Modality) -> None:
    ranker = planted.fitted("mlp", content, **MLP | {"lr": 1e-12})
    good = planted.fitted("mlp", content, **MLP)
    ranker.params = good.params
    data = replace(planted.data, modalities={content.name: content}, device="cpu")
    assert ranker.fit(data).learning == good.learning


def test_rankers_without_a_network_have_no_record(planted: Planted, content: Modality) -> None:
    for name in ("ridge", "random-factors"):
        ranker = planted.fitted(name, *([content] if name == "ridge" else []))
        assert (ranker.learning, ranker.collapsed) == (None, "")


@pytest.mark.parametrize("cls", [ContentUser, IdItem])
def test_content_user_embedding_is_flagged_only_if_it_did_not_learn(cls: type[IdItem]) -> None:
    data = planted_tastes()
    small = {**(SMALL if cls is ContentUser else {"width": 16}), "epochs": 40}
    assert cls(**small).fit(sounds(data[0])).collapsed == ""
    bad = cls(**small | {"lr": 1e-12, "epochs": 1}).fit(sounds(data[0]))
    assert bad.collapsed == "the weights did not change"


def test_loss_of_equal_scores_is_the_margin_of_each_counted_negative() -> None:
    """The slow way: the loss itself, of a model whose towers return one vector."""
    import scipy.sparse as sp
    import torch

    from segue_papers.rankers.content_user_network import LookUp, Pairs

    played = sp.csr_matrix((np.random.default_rng(0).random((9, 14)) < 0.4).astype(np.float32))
    network = Pairs(LookUp(14, 4), LookUp(9, 4), played, margin=0.2, negatives=5).eval()
    with torch.no_grad():
        for tower in (network.users, network.items):
            tower.dense[-1].weight.zero_()
            tower.dense[-1].bias.fill_(1)
    places = np.arange(played.nnz)
    steps = [(network.pairs(part), torch.randn(len(part), network.latent)) for part in np.array_split(places, 4)]
    expected = sum(float(network.losses(*step, beta=0)["loss"]) * len(step[1]) for step in steps) / len(places)
    assert network.constant_loss(steps) == pytest.approx(expected, rel=1e-5)


def test_loss_of_equal_logits_is_the_log_of_the_candidates() -> None:
    import torch

    from toolkit.coldstart.two_tower_network import Towers

    content = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    tracks = np.array([1, 2, 3, 2, 4, 5, 1, 6])
    towers = Towers(content, content, tracks, [], 3, 2, 0.1)
    positions = torch.arange(8)
    inputs = (torch.zeros(8, dtype=torch.int64), torch.full((8,), 8), positions)
    # tracks 1 and 2 are there twice: each is no wrong answer for the other
    expected = (4 * np.log(7) + 4 * np.log(8)) / 8
    assert towers.constant_loss([(inputs, torch.randn(8, 2))]) == pytest.approx(expected, rel=1e-6)


def test_collapsed_is_empty_before_fit() -> None:
    assert IdItem().collapsed == ""
    assert Ranker.learning is None
    assert Learning().collapsed == ""

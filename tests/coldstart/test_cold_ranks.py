"""Tests of `mlp` and `two-tower`: AUC between random and upper bound, and higher with two modalities than with one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from segue.checks.check_ranker import check_ranker
from tests.coldstart.planted_content import FACTORS, TRACKS, Planted, difference, modality, plant
from toolkit import plugins
from toolkit.errors import InputError
from toolkit.modality import Modality

SYSTEMS: list[tuple[str, dict[str, Any]]] = [
    ("mlp", {"hidden": [32], "epochs": 40, "lr": 5e-3, "batch": 16}),
    ("two-tower", {"hidden": [32], "dim": 12, "epochs": 8, "lr": 5e-3, "seeds": 6, "batch": 64}),
]


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant()


@pytest.fixture(scope="module")
def parts(planted: Planted) -> list[Modality]:
    """Return two modalities that distinguish the tastes only together."""
    rng = np.random.default_rng(0)
    sound = np.eye(3)[planted.kinds % 3] @ rng.normal(size=(3, 12)) + rng.normal(0, 0.4, (TRACKS, 12))
    text = np.eye(2)[planted.kinds // 3] @ rng.normal(size=(2, 20)) * 5 + rng.normal(0, 2, (TRACKS, 20))
    return [modality(sound, "sound"), modality(text, "text")]


@pytest.mark.parametrize(("name", "params"), SYSTEMS)
def test_cold_auc_is_higher_with_two_modalities_than_with_one(
    name: str, params: dict[str, Any], planted: Planted, parts: list[Modality]
) -> None:
    both = planted.aucs(planted.fitted(name, *parts, **params))
    for alone in parts:
        one = planted.aucs(planted.fitted(name, alone, **params))
        assert difference(one, planted.chance).low > 0
        assert difference(both, one).low > 0
    assert difference(planted.bound, both).low > 0


@pytest.mark.parametrize(("name", "params"), SYSTEMS)
def test_shuffled_content_has_auc_of_random_factors(
    name: str, params: dict[str, Any], planted: Planted, parts: list[Modality]
) -> None:
    order = np.concatenate([[0], np.random.default_rng(1).permutation(TRACKS) + 1])
    dealt = [Modality(one.name, one.matrix[order], one.present[order]) for one in parts]
    assert abs(planted.aucs(planted.fitted(name, *dealt, **params)).mean() - 0.5) < 0.1


@pytest.mark.parametrize(("name", "params"), SYSTEMS)
def test_cold_rankers_pass_check_ranker(
    name: str, params: dict[str, Any], planted: Planted, parts: list[Modality]
) -> None:
    data = replace(planted.data, modalities={part.name: part for part in parts}, device="cpu")
    small = params | {"epochs": 2, "factors": FACTORS.model_dump()}
    check_ranker(lambda: plugins.load("segue.rankers", name)(**small), data, planted.test)


def test_two_tower_uses_but_does_not_rank_played_tracks_without_content(
    planted: Planted, parts: list[Modality]
) -> None:
    first = int(np.flatnonzero(planted.warm)[0]) + 1
    less = [Modality(part.name, part.matrix, part.present & (np.arange(TRACKS + 1) != first)) for part in parts]
    ranker = planted.fitted("two-tower", *less, **SYSTEMS[1][1] | {"epochs": 1})
    from toolkit.corpus.queries import Queries

    scores = ranker.score(Queries.of([[first]]), np.arange(1, TRACKS + 1))[0]
    assert np.flatnonzero(np.isneginf(scores)).tolist() == [first - 1]


def test_two_tower_loss_is_a_softmax_with_log_popularity_correction() -> None:
    """Compare with the explicit formula, with one other track in a playlist, so nothing is drawn."""
    import torch

    from toolkit.coldstart.two_tower_network import Towers

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    content, known = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=(5, 4)).astype(np.float32)
    tracks = np.array([1, 2, 3, 4, 1, 3])  # three lists of two
    towers = Towers(content, known, tracks, [], 2, 2, 0.5)
    starts, lengths, places = torch.tensor([0, 2, 4]), torch.tensor([2, 2, 2]), torch.tensor([0, 3, 4])
    found = towers.losses((starts, lengths, places), torch.randn(3, 2), beta=0.0)["loss"]
    unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)  # noqa: E731
    with torch.no_grad():
        items = unit(towers.item(torch.from_numpy(content)).numpy()[[1, 4, 1]])
        users = unit(towers.query(torch.from_numpy(known)).numpy()[[2, 3, 3]])
    logits = users @ items.T / 0.5 - np.log(np.array([2, 1, 2]) / 6)
    logits[0, 2] = logits[2, 0] = -np.inf  # the same track is no wrong answer
    wanted = np.mean(np.log(np.exp(logits).sum(axis=1)) - np.diag(logits))
    assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_cold_rankers_without_content_raise_input_error(planted: Planted, parts: list[Modality]) -> None:
    nobody = Modality("sound", parts[0].matrix, parts[0].present & np.concatenate([[False], ~planted.warm]))
    with pytest.raises(InputError, match="modality 'sound' must be present for at least one training track"):
        planted.fitted("two-tower", nobody)
    with pytest.raises(InputError, match="two-tower requires a modality"):
        planted.fitted("two-tower")

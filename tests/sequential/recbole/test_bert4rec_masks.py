"""Tests of `strict_recbole: true` against stock RecBole: the loss on the same masks, scores, and mask frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.sequential.small_models import training
from toolkit.corpus.queries import Queries
from toolkit.ranker import TrainingData
from toolkit.recipe import Fusion, ModelSpec
from toolkit.sequential.item_space import Parts
from toolkit.sequential.losses import softmax_cross_entropy
from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.multimodal_bert4rec import MultimodalBERT4Rec
from toolkit.sequential.sequential_ranker import SequentialRanker
from toolkit.sequential.training.objectives import Masked

V, L = 40, 12
SETTINGS = {"hidden_size": 16, "inner_size": 32, "MAX_ITEM_LIST_LENGTH": L, "mask_ratio": 0.3}


def pair() -> tuple[Any, Any, Any]:
    """Return RecBole's configuration and model with random weights, and our strict model with the same weights."""
    with bridge.seeded(0):
        config = bridge.config("BERT4Rec", settings=SETTINGS)
        stock: Any = bridge.BERT4Rec(config, bridge.CatalogueSize(V)).eval()
        for parameter in stock.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    model: Any = MultimodalBERT4Rec(config, bridge.CatalogueSize(V), Parts(strict=True)).eval()
    model.load_state_dict(stock.state_dict())
    return config, stock, model


def rows(lists: list[list[int]]) -> Any:
    padded = torch.zeros(len(lists), L, dtype=torch.int64)
    for row, tracks in enumerate(lists):
        padded[row, : len(tracks)] = torch.tensor(tracks)
    return bridge.Interaction({"item_id_list": padded, "item_length": torch.tensor([len(tracks) for tracks in lists])})


def masked(config: Any, ft_ratio: float) -> Any:
    """Return RecBole's own masks over 30 playlists of 2 to 12 tracks."""
    rng = np.random.default_rng(0)
    lists = [(rng.permutation(V)[: rng.integers(2, L + 1)] + 1).tolist() for _ in range(30)]
    config["ft_ratio"] = ft_ratio
    with bridge.seeded(3):
        return bridge.MaskItemSequence(config)(bridge.CatalogueSize(V), rows(lists))


@pytest.mark.parametrize("ft_ratio", [0.0, 1.0])
def test_strict_loss_equals_recbole_on_its_masks(ft_ratio: float, monkeypatch: pytest.MonkeyPatch) -> None:
    config, stock, model = pair()
    batch = masked(config, ft_ratio)
    hidden = batch["Mask_item_id_list"] == V + 1
    if ft_ratio == 0:
        assert bool(hidden[:, 0].any())
        assert int(hidden.sum(1).max()) > model.mask_item_length
        assert bool((hidden.sum(1) == 0).any())
    wanted = float(stock.calculate_loss(batch).detach())
    monkeypatch.setattr(Masked, "masks", lambda self, items, lengths: hidden)
    step = model.objective.step(batch["item_id_list"], torch.zeros(30, dtype=torch.int64))
    assert len(step.targets) == int((batch["MASK_INDEX"] > 0).sum())
    assert float(softmax_cross_entropy.full(step.scores, step.targets).detach()) == pytest.approx(wanted, abs=2e-6)
    assert float(softmax_cross_entropy.chunked(step.scores, step.targets).detach()) == pytest.approx(wanted, abs=2e-6)
    assert float(model.calculate_loss(batch).detach()) == pytest.approx(wanted, abs=2e-6)
    model.strict = False
    step = model.objective.step(batch["item_id_list"], torch.zeros(30, dtype=torch.int64))
    assert ft_ratio == 1 or abs(float(softmax_cross_entropy.full(step.scores, step.targets).detach()) - wanted) > 1e-3


def test_strict_gradients_equal_recbole_on_its_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    config, stock, model = pair()
    batch = masked(config, 0.0)
    stock.calculate_loss(batch).backward()
    hidden = batch["Mask_item_id_list"] == V + 1
    monkeypatch.setattr(Masked, "masks", lambda self, items, lengths: hidden)
    step = model.objective.step(batch["item_id_list"], torch.zeros(30, dtype=torch.int64))
    softmax_cross_entropy.chunked(step.scores, step.targets).backward()
    for (name, parameter), theirs in zip(model.named_parameters(), stock.parameters(), strict=True):
        found, wanted = parameter.grad, theirs.grad
        if name == "item_embedding.weight":
            found, wanted = (
                found[1:],
                wanted[1:],
            )  # RecBole's embedding gives its padding row no gradient from where it is read
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


def test_strict_scores_equal_recbole_for_every_playlist_length() -> None:
    _, stock, model = pair()
    lists = [list(range(5, 5 + length)) for length in range(1, L + 1)]
    with torch.no_grad():
        found, wanted = model.full_sort_predict(rows(lists)), stock.full_sort_predict(rows(lists))
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
        model.strict = False
        assert float((model.full_sort_predict(rows(lists)) - wanted)[:-1].abs().amax(1).min()) > 1e-3


def test_strict_masks_are_as_frequent_as_in_recbole() -> None:
    """Half of the batches hide only the last track. In other batches each position is drawn and a row may hide none."""
    _, _, model = pair()
    torch.manual_seed(0)
    items, lengths = torch.ones(50, 10, dtype=torch.int64), torch.full((50,), 10)
    drawn = [model.objective.masks(items, lengths) for _ in range(400)]
    only_last = [bool((each.sum(1) == 1).all()) and bool(each[:, -1].all()) for each in drawn]
    assert np.mean(only_last) == pytest.approx(0.5, abs=0.1)
    rest = torch.stack([each for each, last in zip(drawn, only_last, strict=True) if not last]).float()
    assert rest.mean((0, 1)).tolist() == pytest.approx([0.3] * 10, abs=0.03)
    assert float((rest.sum(2) == 0).float().mean()) == pytest.approx(0.7**10, abs=0.01)


def test_strict_batch_without_counted_masks_hides_last_tracks() -> None:
    _, _, model = pair()
    model.mask_ratio = 0.0
    assert torch.equal(
        model.objective.masks(torch.ones(2, 3, dtype=torch.int64), torch.tensor([3, 2])),
        torch.tensor([[0, 0, 1], [0, 1, 0]]).bool(),
    )


def test_strict_ranker_scores_equal_recbole() -> None:
    """All single seeds have the same ranking, unplayed tracks are ranked, and seeds before the window are ignored."""
    lists = [[1 + (start + step) % 20 for step in range(6)] for start in range(20)]
    given = {
        "type": "bert4rec",
        "strict_recbole": True,
        "max_length": L,
        "epochs": 1,
        "hidden_size": 16,
        "select": "ndcg@10",
    }
    ranker = SequentialRanker(ModelSpec.of(given), Fusion()).fit(TrainingData(training(lists, V), seed=3))
    with torch.no_grad():
        for parameter in ranker.model.parameters():
            parameter.normal_(std=0.2)
    stock: Any = bridge.BERT4Rec(
        bridge.config("BERT4Rec", settings={**SETTINGS, "inner_size": 64}), bridge.CatalogueSize(V)
    ).eval()
    stock.load_state_dict(ranker.model.state_dict())
    asked = [[5], [9], [7, 2, 12], list(range(1, L)), list(range(1, L + 1))]
    with torch.no_grad():
        wanted = stock.full_sort_predict(rows(asked))[:, 1:].numpy()
    scores = ranker.score(Queries.of([*asked, [30, *asked[-1]]]), np.arange(1, V + 1))
    assert scores[:5] == pytest.approx(wanted, abs=1e-5)
    assert np.array_equal(scores[4], scores[5])
    assert np.array_equal(scores[0], scores[1])
    assert np.isfinite(scores).all()

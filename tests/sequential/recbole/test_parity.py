"""Tests of our models against RecBole's with the same weights: states, losses, and training under RecBole's trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.nn import functional as F

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.sequential.losses import softmax_cross_entropy
from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.multimodal_bert4rec import MultimodalBERT4Rec
from toolkit.sequential.recbole.multimodal_sasrec import MultimodalSASRec
from toolkit.sequential.recbole.prefix_rows import PlaylistDataset, loaders
from toolkit.sequential.training.batches import batches

V, L = 40, 12
SETTINGS = {"hidden_size": 16, "inner_size": 32, "MAX_ITEM_LIST_LENGTH": L}


def training(lists: list[list[int]]) -> PlaylistSet:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
    names, nothing = [f"local:{item}" for item in range(1, V + 1)], pa.nulls(len(lists), pa.string())
    playlists = pa.table(
        {"id": [f"p{row}" for row in range(len(lists))], "title": nothing, "group": nothing, "split": nothing}
    )
    items = np.array([item for row in lists for item in row], np.int32)
    corpus = Corpus(items, offsets, pa.table({"id": names, "title": names}), playlists)
    return PlaylistSet(corpus, np.arange(len(lists)), offsets[:-1], offsets[1:])


def random_lists(count: int, longest: int) -> list[list[int]]:
    rng = np.random.default_rng(0)
    return [(rng.permutation(V)[: rng.integers(2, longest + 1)] + 1).tolist() for _ in range(count)]


def pair(base: str, ours: type) -> tuple[Any, Any, Any]:
    """Return RecBole's configuration and model with random weights, and our model with the same weights."""
    with bridge.seeded(0):
        config = bridge.config(base, settings=SETTINGS)
        stock = getattr(bridge, base)(config, bridge.CatalogueSize(V)).eval()
        for parameter in stock.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    model = ours(bridge.config(ours, settings=SETTINGS), bridge.CatalogueSize(V)).eval()
    model.load_state_dict(stock.state_dict())
    return config, stock, model


def test_stock_checkpoint_loads_into_our_model(tmp_path: Path) -> None:
    for base, ours in (("SASRec", MultimodalSASRec), ("BERT4Rec", MultimodalBERT4Rec)):
        config, stock, _ = pair(base, ours)
        config["checkpoint_dir"] = str(tmp_path)
        trainer = bridge.Trainer(config, stock)
        trainer._save_checkpoint(0, verbose=False)
        model = ours(config, bridge.CatalogueSize(V))
        model.load_state_dict(bridge.load_checkpoint(Path(trainer.saved_model_file)))
        assert all(torch.equal(value, stock.state_dict()[name]) for name, value in model.state_dict().items())


def test_sasrec_states_equal_states_of_recbole_prefix_rows() -> None:
    config, stock, model = pair("SASRec", MultimodalSASRec)
    lists = random_lists(20, L)
    rows: Any = PlaylistDataset(config, training(lists)).inter_feat
    padded = torch.zeros(len(lists), L, dtype=torch.int64)
    for row, tracks in enumerate(lists):
        padded[row, : len(tracks)] = torch.tensor(tracks)
    with torch.no_grad():
        wanted = stock.forward(rows["item_id_list"], rows["item_length"])  # one row a prefix
        vectors = model.space.vectors(padded.flatten()).view(*padded.shape, -1) * (padded > 0)[..., None]
        states = model.encode(vectors)
    found = states[rows["user_id"] - 1, rows["item_length"] - 1]
    assert len(found) == sum(len(tracks) - 1 for tracks in lists)
    assert float((found - wanted).abs().max()) <= 1e-6


def test_sasrec_loss_equals_loss_of_recbole_prefix_rows() -> None:
    """No playlist exceeds the window, so every target is in one batch of both models."""
    config, stock, model = pair("SASRec", MultimodalSASRec)
    train = training(random_lists(20, L + 1))
    rows: Any = PlaylistDataset(config, train).inter_feat
    wanted = float(stock.calculate_loss(rows).detach())
    (batch,) = list(batches(train, max_length=L, tokens=10**6, shuffle=False, rng=np.random.default_rng(0)))
    step = model.objective.step(torch.from_numpy(batch.inputs), torch.from_numpy(batch.scored))
    assert len(step.targets) == len(rows)
    assert abs(float(softmax_cross_entropy.full(step.scores, step.targets).detach()) - wanted) <= 1e-5
    assert abs(float(softmax_cross_entropy.chunked(step.scores, step.targets).detach()) - wanted) <= 1e-5


def test_long_playlist_states_equal_recbole_prefix_rows_in_some_epoch() -> None:
    """In an epoch whose window gives a target L tracks of context, its state equals that of RecBole's row."""
    config, stock, model = pair("SASRec", MultimodalSASRec)
    train = training([[1 + (7 * at) % V for at in range(3 * L)], [1 + (3 * at) % V for at in range(2 * L + 3)]])
    rows: Any = PlaylistDataset(config, train).inter_feat
    waiting = {
        (int(user), tuple(tracks[:length].tolist()), int(target)) for user, tracks, length, target in _fields(rows)
    }
    assert len(waiting) == 3 * L - 1 + 2 * L + 2
    with torch.no_grad():
        for seed in range(40):
            for batch in batches(train, max_length=L, tokens=10**6, shuffle=False, rng=np.random.default_rng(seed)):
                given = torch.from_numpy(batch.inputs[:, :-1])
                states = model.encode(
                    model.space.vectors(given.flatten()).view(*given.shape, -1) * (given > 0)[..., None]
                )
                for row, tracks in enumerate(batch.inputs.tolist()):
                    for at in range(int(batch.scored[row]), int(batch.lengths[row]) - 1):
                        key = (int(batch.playlists[row]) + 1, tuple(tracks[: at + 1]), tracks[at + 1])
                        if key in waiting:
                            waiting.remove(key)
                            wanted = stock.forward(asked([list(key[1])])["item_id_list"], torch.tensor([at + 1]))
                            assert float((states[row, at] - wanted[0]).abs().max()) <= 2e-6
    assert not waiting


def _fields(rows: Any) -> Any:
    return zip(rows["user_id"], rows["item_id_list"], rows["item_length"], rows["item_id"], strict=True)


def test_sasrec_gradients_equal_gradients_of_recbole_prefix_rows() -> None:
    config, stock, model = pair("SASRec", MultimodalSASRec)
    train = training(random_lists(20, L + 1))
    rows: Any = PlaylistDataset(config, train).inter_feat
    stock.calculate_loss(rows).backward()
    (batch,) = list(batches(train, max_length=L, tokens=10**6, shuffle=False, rng=np.random.default_rng(0)))
    step = model.objective.step(torch.from_numpy(batch.inputs), torch.from_numpy(batch.scored))
    softmax_cross_entropy.chunked(step.scores, step.targets).backward()
    theirs = {name: parameter.grad for name, parameter in stock.named_parameters()}
    assert set(theirs) == {name for name, _ in model.named_parameters()}
    # RecBole trains the padding row as one more wrong answer; in ours it is a constant
    assert float(theirs["item_embedding.weight"][0].abs().max()) > 0
    theirs["item_embedding.weight"][0] = 0
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name], atol=1e-5, rtol=1e-4)


def asked(lists: list[list[int]]) -> Any:
    rows = torch.zeros(len(lists), L, dtype=torch.int64)
    for row, seeds in enumerate(lists):
        rows[row, : len(seeds)] = torch.tensor(seeds)
    return bridge.Interaction({"item_id_list": rows, "item_length": torch.tensor([len(seeds) for seeds in lists])})


def test_sasrec_ranking_equals_recbole() -> None:
    _, stock, model = pair("SASRec", MultimodalSASRec)
    batch = asked(random_lists(10, L))
    with torch.no_grad():
        torch.testing.assert_close(model.full_sort_predict(batch), stock.full_sort_predict(batch), atol=1e-5, rtol=0)


def test_bert4rec_states_of_masked_rows_equal_recbole() -> None:
    _, stock, model = pair("BERT4Rec", MultimodalBERT4Rec)
    items = asked(random_lists(10, L))["item_id_list"]
    masked = items.masked_fill(
        (torch.rand(items.shape, generator=torch.Generator().manual_seed(1)) < 0.3) & (items > 0), V + 1
    )
    with torch.no_grad():
        difference = (model.forward(masked) - stock.forward(masked)).abs()
    assert float(difference[items > 0].max()) <= 1e-6


def test_bert4rec_loss_equals_recbole_without_mask_at_position_0() -> None:
    config, stock, model = pair("BERT4Rec", MultimodalBERT4Rec)
    with bridge.seeded(3):
        batch = bridge.MaskItemSequence(config)(bridge.CatalogueSize(V), asked(random_lists(60, L)))
    counted = (batch["MASK_INDEX"] > 0).any(1) & (batch["Mask_item_id_list"][:, 0] <= V)
    assert int(counted.sum()) > 10
    chosen = batch[counted.nonzero()[:, 0]]
    with torch.no_grad():
        assert abs(float(model.calculate_loss(chosen)) - float(stock.calculate_loss(chosen))) <= 1e-5


def test_bert4rec_loss_counts_mask_at_position_0() -> None:
    _, _, model = pair("BERT4Rec", MultimodalBERT4Rec)
    masked = torch.tensor([[V + 1, 4, V + 1] + [0] * 9])

    def loss(first: int, second: int) -> float:
        fields = {
            "Mask_item_id_list": masked,
            "MASK_INDEX": torch.tensor([[0, 2]]),
            "Pos_item_id": torch.tensor([[first, second]]),
        }
        with torch.no_grad():
            return float(model.calculate_loss(bridge.Interaction(fields)))

    with torch.no_grad():
        output = model.forward(masked)[0]
        logits = output @ model.item_embedding.weight[: V + 1].T + model.output_bias
    assert loss(5, 7) == pytest.approx(float(F.cross_entropy(logits[[0, 2]], torch.tensor([5, 7]))), abs=1e-5)
    assert abs(loss(5, 7) - loss(11, 7)) > 1e-3


def test_bert4rec_reads_the_earliest_seed_that_recbole_drops() -> None:
    _, stock, model = pair("BERT4Rec", MultimodalBERT4Rec)
    with torch.no_grad():
        one, other = model.full_sort_predict(asked([[5], [9]]))
        assert float((one - other).abs().max()) > 1e-3
        full = asked([list(range(1, L + 1))])  # a full window loses its earliest track either way
        torch.testing.assert_close(model.full_sort_predict(full), stock.full_sort_predict(full), atol=1e-5, rtol=0)


@pytest.mark.parametrize("ours", [MultimodalSASRec, MultimodalBERT4Rec])
def test_our_models_train_an_epoch_under_recbole_trainer(ours: type, tmp_path: Path) -> None:
    with bridge.seeded(0):
        settings = {**SETTINGS, "epochs": 6, "train_batch_size": 64, "checkpoint_dir": str(tmp_path)}
        config = bridge.config(ours, settings=settings)
        train = training(random_lists(30, L))
        lists = [[(start + step) % V + 1 for step in range(6)] for start in range(V)]
        ring = training(lists)
        valid = HeldOut(ring.corpus, ring.rows, ring.starts, ring.starts + 4, ring.ends)
        trainer = bridge.Trainer(config, ours(config, bridge.CatalogueSize(V)))
        trainer.fit(*loaders(config, train, valid), verbose=False)
    assert trainer.train_loss_dict[5] < trainer.train_loss_dict[0]
    assert trainer.train_loss_dict[0] / len(loaders(config, train, None)[0]) == pytest.approx(np.log(V + 1), abs=0.15)
    assert 0 <= trainer.best_valid_result["recall@10"] <= 1

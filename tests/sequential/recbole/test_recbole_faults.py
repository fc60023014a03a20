"""Tests that show the known faults of RecBole 1.2.1's sequential models in the stock code.

These faults are the reason for `toolkit.sequential` and `toolkit.evaluation`. Their corrections are tested in
test_parity.py, test_sequential_models.py and the tests of evaluation.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.prefix_rows import PlaylistDataset, loaders

V, L = 30, 10


def corpus_of(lists: list[list[int]]) -> Corpus:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
    names, nothing = [f"local:{item}" for item in range(1, V + 1)], pa.nulls(len(lists), pa.string())
    playlists = pa.table(
        {"id": [f"p{row}" for row in range(len(lists))], "title": nothing, "group": nothing, "split": nothing}
    )
    items = np.array([item for row in lists for item in row], np.int32)
    return Corpus(items, offsets, pa.table({"id": names, "title": names}), playlists)


def training(lists: list[list[int]]) -> PlaylistSet:
    corpus = corpus_of(lists)
    return PlaylistSet(corpus, np.arange(len(corpus)), corpus.offsets[:-1], corpus.offsets[1:])


def held_out(lists: list[list[int]], cut: int) -> HeldOut:
    corpus = corpus_of(lists)
    starts = corpus.offsets[:-1]
    return HeldOut(corpus, np.arange(len(corpus)), starts, starts + cut, corpus.offsets[1:])


def stock(base: str, **settings: Any) -> tuple[Any, Any]:
    """Return RecBole's configuration and its model in evaluation mode."""
    with bridge.seeded(1):
        config = bridge.config(
            base, settings={"hidden_size": 16, "inner_size": 32, "MAX_ITEM_LIST_LENGTH": L, **settings}
        )
        model = getattr(bridge, base)(config, bridge.CatalogueSize(V)).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return config, model


def asked(lists: list[list[int]]) -> Any:
    rows = torch.zeros(len(lists), L, dtype=torch.int64)
    for row, seeds in enumerate(lists):
        rows[row, : len(seeds)] = torch.tensor(seeds)
    return bridge.Interaction({"item_id_list": rows, "item_length": torch.tensor([len(seeds) for seeds in lists])})


# 1. every prefix is a padded row


def test_fault_1_prefix_rows_take_628_bytes_per_playlist_entry() -> None:
    config = bridge.config("SASRec", settings={})
    lists = [[1 + (start + step) % V for step in range(20)] for start in range(5)]
    rows: Any = PlaylistDataset(config, training(lists)).inter_feat
    assert len(rows) == 5 * 19
    assert sum(tensor.numel() * tensor.element_size() for tensor in rows.interaction.values()) == 628 * len(rows)


def test_fault_1_causal_pass_equals_all_prefix_rows() -> None:
    _, model = stock("SASRec")
    playlist = [3, 8, 1, 22, 9, 14]
    prefixes = asked([playlist[:end] for end in range(1, 7)])
    with torch.no_grad():
        by_rows = model.forward(
            prefixes["item_id_list"], prefixes["item_length"]
        )  # (6 rows x 10 positions, one kept of each)
        row = prefixes["item_id_list"][-1:]
        inputs = model.LayerNorm(model.item_embedding(row) + model.position_embedding.weight[None])
        by_pass = model.trm_encoder(inputs, model.get_attention_mask(row))[-1][0, :6]
    torch.testing.assert_close(by_pass, by_rows, atol=1e-6, rtol=0)


# 2. the earliest track is dropped at inference


def test_fault_2_first_track_does_not_change_scores() -> None:
    _, model = stock("BERT4Rec")
    with torch.no_grad():
        scores = model.full_sort_predict(asked([[5], [9], [5, 7, 8], [9, 7, 8], [5, 7, 9]]))
    torch.testing.assert_close(scores[0], scores[1], atol=0, rtol=0)  # with one seed: one ranking for everybody
    torch.testing.assert_close(scores[2], scores[3], atol=0, rtol=0)
    assert float((scores[2] - scores[4]).abs().max()) > 1e-3
    assert model.reconstruct_test_data(asked([[5, 6, 7]])["item_id_list"], torch.tensor([3]))[0, :3].tolist() == [
        6,
        7,
        V + 1,
    ]


# 3. masks that are not predicted, logits that are not needed


def test_fault_3_mask_at_position_0_does_not_count_in_loss() -> None:
    _, model = stock("BERT4Rec")
    mask = V + 1

    def loss(first: int, second: int) -> float:
        masked = torch.tensor([[mask, 4, mask, 6] + [0] * 6])
        batch = {
            "Mask_item_id_list": masked,
            "MASK_INDEX": torch.tensor([[0, 2]]),
            "Pos_item_id": torch.tensor([[first, second]]),
        }
        with torch.no_grad():
            return float(model.calculate_loss(bridge.Interaction({**batch, "Neg_item_id": torch.tensor([[1, 1]])})))

    assert loss(5, 7) == loss(11, 7)
    assert loss(5, 7) != loss(5, 12)


def test_fault_3_loss_is_nan_with_masks_only_at_position_0() -> None:
    _, model = stock("BERT4Rec")
    batch = {"Mask_item_id_list": torch.tensor([[V + 1] + [0] * 9]), "MASK_INDEX": torch.tensor([[0, 0]])}
    batch |= {"Pos_item_id": torch.tensor([[0, 5]]), "Neg_item_id": torch.tensor([[1, 1]])}
    assert bool(torch.isnan(model.calculate_loss(bridge.Interaction(batch))))


def masked_batch() -> Any:
    config = bridge.config("BERT4Rec", settings={"MAX_ITEM_LIST_LENGTH": L, "ft_ratio": 0.0})
    lists = [[1 + (start + step) % V for step in range(10)] for start in range(V)]
    with bridge.seeded(3):
        return bridge.MaskItemSequence(config)(bridge.CatalogueSize(V), asked(lists))


def test_fault_3_masks_beyond_the_slots_are_not_predicted() -> None:
    batch = masked_batch()
    masks = (batch["Mask_item_id_list"] == V + 1).sum(1)
    assert batch["MASK_INDEX"].shape[1] == 2  # int(0.2 * 10)
    assert int(masks.max()) > 2
    dropped = int((masks - 2).clamp(min=0).sum())
    assert dropped / int(masks.sum()) > 0.15


def test_fault_3_large_share_of_logits_is_padding() -> None:
    config = bridge.config("BERT4Rec", settings={"ft_ratio": 0.0})  # length 50: 10 slots a row
    rows = torch.zeros(200, 50, dtype=torch.int64)
    rows[:, :25] = torch.arange(1, 26)
    with bridge.seeded(3):
        batch = bridge.MaskItemSequence(config)(bridge.CatalogueSize(V), bridge.Interaction({"item_id_list": rows}))
    used = float((batch["MASK_INDEX"] > 0).float().mean())
    assert 0.4 < used < 0.55  # playlists of half the window: 0.2 * 24 of 10 slots


# 4 and 5. seeds stay in the ranking, one positive a row


def evaluation_batch(base: str = "SASRec") -> tuple[Any, Any, Any]:
    with bridge.seeded(1):
        config, model = stock(base, epochs=1, eval_batch_size=8)
        _, valid = loaders(config, training([[1, 2, 3]]), held_out([[5, 6, 7, 8, 9], [10, 11, 12, 13, 14]], 2))
    return config, model, valid


def test_fault_4_seeds_are_ranked(tmp_path: Path) -> None:
    config, model, valid = evaluation_batch("BERT4Rec")
    config["checkpoint_dir"] = str(tmp_path)
    with torch.no_grad():
        model.output_bias[6] = 100.0  # a track that the model likes best
    trainer = bridge.Trainer(config, model)
    trainer.tot_item_num = V + 1
    (batch,) = list(valid)
    assert batch[1] is None  # history_index
    with torch.no_grad():
        rows, scores, _, _ = trainer._full_sort_batch_eval(batch)
    assert rows["item_id_list"][0, :2].tolist() == [5, 6]
    assert scores.argmax(1).tolist() == [6, 6]  # recommended to the playlist that holds it too
    assert bool(torch.isneginf(scores[:, 0]).all())  # nothing but padding is left out
    assert bool(torch.isfinite(scores[:, 1:]).all())


def test_fault_5_evaluation_has_one_positive_per_row() -> None:
    _, _, valid = evaluation_batch()
    ((_, _, positive_u, positive_i),) = list(valid)
    assert positive_u.tolist() == [0, 1]
    assert positive_i.tolist() == [7, 12]  # of the hidden sets {7, 8, 9} and {12, 13, 14}


# 6. evaluation holds B x V


class _Allocations(TorchFunctionMode):
    """Recorder of the shapes and dtypes of all tensors created in a context."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[tuple[int, ...], torch.dtype]] = []

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.made.append((tuple(result.shape), result.dtype))
        return result


def test_fault_6_evaluation_allocates_catalogue_scores_and_int_copy(tmp_path: Path) -> None:
    config, model, valid = evaluation_batch()
    config["checkpoint_dir"] = str(tmp_path)
    trainer = bridge.Trainer(config, model)
    with _Allocations() as seen:
        trainer.evaluate(valid, load_best_model=False)
    whole = (2, V + 1)
    assert (whole, torch.float32) in seen.made
    assert (whole, torch.int32) in seen.made
    default = bridge.config("SASRec", settings={})["eval_batch_size"]
    assert round(default * 2_262_292 * (4 + 4) / 1e9) == 74  # GB at the Million Playlist Dataset's size


# 7. Python loops, device syncs, unfused Adam


def test_fault_7_masks_are_computed_in_python_during_evaluation() -> None:
    _, _, valid = evaluation_batch("BERT4Rec")
    with bridge.seeded(4):
        before = random.getstate()
        ((rows, _, _, _),) = list(valid)
        assert random.getstate() != before
    assert {"Mask_item_id_list", "Neg_item_id"} <= set(rows.columns)


class _Syncs(TorchDispatchMode):
    """Counter of tensor values read by Python, each of which waits for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_fault_7_step_has_two_syncs_and_an_unfused_optimizer(tmp_path: Path) -> None:
    # plain gradient descent: Adam on the CPU reads its own step counts
    config, model = stock("SASRec", learner="sgd", train_batch_size=4, checkpoint_dir=str(tmp_path))
    train, _ = loaders(config, training([[1, 2, 3, 4, 5, 6, 7, 8, 9]]), None)
    trainer = bridge.Trainer(config, model)
    batches, counts = list(train), []
    assert len(batches) == 2
    for steps in (1, 2):
        with _Syncs() as seen:
            trainer._train_epoch(batches[:steps], 0)
        counts.append(seen.count)
    assert counts == [2, 4]
    config, model = stock("SASRec", checkpoint_dir=str(tmp_path))
    assert not bridge.Trainer(config, model).optimizer.defaults["fused"]


def test_fault_8_only_stock_import_enables_anomaly_detection() -> None:
    script = (
        "import torch; import recbole.model.sequential_recommender; stock = torch.is_anomaly_enabled();"
        "torch.autograd.set_detect_anomaly(False); from toolkit.sequential.recbole import bridge; "
        "print(stock, torch.is_anomaly_enabled())"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]

"""Tests of RecBole's models as rankers: training by RecBole's trainer, queries, resuming, and saving without pickle."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from segue.checks.check_ranker import check_ranker
from tests.sequential.small_models import corpus
from toolkit import plugins
from toolkit.baselines.stock.stock_models import FixedBERT4Rec, StockBERT4Rec, StockRanker, StockSASRec
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut, PlaylistSet, Split, leave_last_out
from toolkit.errors import InputError, RunDirectoryError, SegueError
from toolkit.ranker import TrainingData

CLASSES: list[type[StockRanker]] = [StockSASRec, StockBERT4Rec, FixedBERT4Rec]
V = 14
SMALL: dict[str, Any] = {"hidden_size": 16, "inner_size": 32, "max_length": 6, "train_batch_size": 64, "epochs": 2}
QUERIES = Queries.of([[1, 2, 3], [5], [6], [9, 10, 11, 12, 1, 2, 3, 4], []])


@pytest.fixture(scope="module")
def split() -> Split:
    """Return playlists that follow a ring of 12 tracks. Tracks 13 and 14 are never played."""
    lists = [[(start + step) % 12 + 1 for step in range(4 + start % 5)] for start in range(60)]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
    items = np.array([item for row in lists for item in row], np.int32)
    names, nothing = [f"local:{item}" for item in range(1, V + 1)], pa.nulls(len(lists), pa.string())
    playlists = pa.table(
        {"id": [f"p{row}" for row in range(len(lists))], "title": nothing, "group": nothing, "split": nothing}
    )
    return leave_last_out(Corpus(items, offsets, pa.table({"id": names, "title": names}), playlists))


@pytest.fixture(scope="module")
def fitted(split: Split) -> dict[type[StockRanker], StockRanker]:
    data = TrainingData(split.train, split.valid, device="cpu")
    return {cls: cls(**SMALL).fit(data) for cls in CLASSES}


def test_stock_models_load_by_entry_point() -> None:
    assert [plugins.load("segue.rankers", cls.name) for cls in CLASSES] == CLASSES


@pytest.mark.parametrize("cls", CLASSES)
def test_stock_rankings_pass_check_rankings(
    cls: type[StockRanker], fitted: dict[type[StockRanker], StockRanker]
) -> None:
    ranker = fitted[cls]
    ids, scores = ranker.rank(QUERIES, V)
    assert (ids.shape, ids.dtype, scores.dtype, ranker.n_items) == ((5, V), np.int32, np.float32, V)
    assert not set(ids[0]) & {1, 2, 3}
    assert sorted(ids[1][: V - 1]) == [item for item in range(1, V + 1) if item != 5]
    whole = ranker.score(QUERIES, np.arange(1, V + 1))
    parts = np.concatenate([ranker.score(QUERIES, np.arange(1, 6)), ranker.score(QUERIES, np.arange(6, V + 1))], axis=1)
    np.testing.assert_allclose(whole, parts, atol=1e-6)
    alone = np.concatenate([ranker.score(QUERIES.part(row, row + 1), np.arange(1, V + 1)) for row in range(5)])
    np.testing.assert_allclose(whole, alone, atol=1e-5)
    assert ranker.rank(Queries.of([]), 3)[0].shape == (0, 3)


@pytest.mark.parametrize("cls", CLASSES)
def test_stock_models_pass_check_ranker(cls: type[StockRanker], split: Split) -> None:
    params = {**SMALL, "epochs": 1}
    few = PlaylistSet(split.train.corpus, split.train.rows[:24], split.train.starts[:24], split.train.ends[:24])
    check_ranker(lambda: cls(**params), TrainingData(few, split.valid, device="cpu"), split.test.part(0, 12), k=5)


@pytest.mark.parametrize("cls", [StockSASRec, StockBERT4Rec])
def test_stock_scores_equal_full_sort_predict(
    cls: type[StockRanker], fitted: dict[type[StockRanker], StockRanker]
) -> None:
    """Compare with RecBole's own prediction over padded rows of max_length."""
    ranker = fitted[cls]
    rows = np.zeros((4, 6), np.int64)
    lists = [[1, 2, 3], [5], [6], [11, 12, 1, 2, 3, 4]]
    for row, seeds in enumerate(lists):
        rows[row, : len(seeds)] = seeds
    asked = {"item_id_list": torch.from_numpy(rows), "item_length": torch.tensor([len(seeds) for seeds in lists])}
    with torch.no_grad():
        wanted = ranker.model.full_sort_predict(asked).numpy()
    np.testing.assert_allclose(ranker.score(QUERIES.part(0, 4), np.arange(V + 1)), wanted, atol=1e-5)


def test_only_fixed_bert4rec_ranks_without_seeds(fitted: dict[type[StockRanker], StockRanker]) -> None:
    items = np.arange(1, V + 1)
    assert np.isneginf(fitted[StockSASRec].score(QUERIES, items)[4]).all()
    assert np.isneginf(fitted[StockBERT4Rec].score(QUERIES, items)[4]).all()
    assert np.isfinite(fitted[FixedBERT4Rec].score(QUERIES, items)[4]).all()
    assert fitted[StockSASRec].rank(QUERIES, 3)[0][4].tolist() == [0, 0, 0]


def test_fixed_bert4rec_reads_the_first_seed(fitted: dict[type[StockRanker], StockRanker]) -> None:
    items = np.arange(1, V + 1)
    shipped, fixed = fitted[StockBERT4Rec].score(QUERIES, items), fitted[FixedBERT4Rec].score(QUERIES, items)
    np.testing.assert_array_equal(shipped[1], shipped[2])  # seeds 5 and 6
    assert np.abs(fixed[1] - fixed[2]).max() > 1e-4
    # a full window has to lose its earliest track either way
    np.testing.assert_allclose(fixed[3], shipped[3], atol=1e-5)
    assert np.abs(fixed[0] - shipped[0]).max() > 1e-4


def test_fixed_bert4rec_reuses_the_training_of_bert4rec(
    split: Split, fitted: dict[type[StockRanker], StockRanker]
) -> None:
    shipped, alone = fitted[StockBERT4Rec], fitted[FixedBERT4Rec]
    given = {"recbole-sasrec": fitted[StockSASRec], "recbole-bert4rec~seed1": shipped}
    lent = FixedBERT4Rec(**SMALL).fit(TrainingData(split.train, split.valid, device="cpu", seed=5, systems=given))
    # the seed is another: it has not trained
    assert all(np.array_equal(lent.state[name], array) for name, array in shipped.state.items())
    assert (lent.curve, lent.underfit) == (shipped.curve, shipped.underfit)
    np.testing.assert_array_equal(lent.rank(QUERIES, 5)[0], alone.rank(QUERIES, 5)[0])


def test_stock_models_learn_a_ring_of_tracks(split: Split) -> None:
    params = {**SMALL, "epochs": 12, "learning_rate": 0.02, "dropout": 0.1, "attention_dropout": 0.0}
    ranker = StockSASRec(**params).fit(TrainingData(split.train, split.valid, device="cpu"))
    ids, _ = ranker.rank(Queries.of([[1, 2, 3], [7, 8], [10, 11, 12]]), 1)
    assert ids[:, 0].tolist() == [4, 9, 1]
    assert ranker.curve[-1]["loss"] < 0.5 * ranker.curve[0]["loss"]
    assert max(row["valid"] for row in ranker.curve) > 0.9  # MRR@10 of the next track


def test_early_stopping_keeps_the_best_epoch_as_recbole_does(split: Split) -> None:
    params = {**SMALL, "epochs": 40, "learning_rate": 0.1, "stopping_step": 1}
    ranker = StockSASRec(**params).fit(TrainingData(split.train, split.valid, device="cpu"))
    valid = [row["valid"] for row in ranker.curve]
    best = max(epoch for epoch, value in enumerate(valid) if value == max(valid))  # of equals RecBole keeps the last
    assert len(valid) == best + 3 < 40  # RecBole stops after more than stopping_step validations without a gain
    assert not ranker.underfit
    shorter = StockSASRec(**{**params, "epochs": best + 1}).fit(TrainingData(split.train, split.valid, device="cpu"))
    assert all(np.array_equal(shorter.state[name], array) for name, array in ranker.state.items())
    assert shorter.underfit  # its last epoch was its best


@pytest.mark.parametrize("cls", [StockSASRec, StockBERT4Rec])
def test_resuming_a_killed_stock_fit_gives_identical_weights(
    cls: type[StockRanker], split: Split, tmp_path: Path
) -> None:
    params = {**SMALL, "epochs": 4}
    whole = cls(**params).fit(TrainingData(split.train, split.valid, device="cpu", workdir=tmp_path / "whole"))

    def kill(done: int, total: int, what: str) -> None:
        if done > total * 0.6:
            raise KeyboardInterrupt

    data = TrainingData(split.train, split.valid, device="cpu", workdir=tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        cls(**params).fit(replace(data, progress=kill))
    calls: list[int] = []
    resumed = cls(**params).fit(replace(data, progress=lambda done, total, what: calls.append(done)))
    assert calls[0] == calls[-1] // 2 + 1  # epochs 1 and 2 were not run again
    assert all(np.array_equal(whole.state[name], array) for name, array in resumed.state.items())
    assert [row["loss"] for row in resumed.curve] == [row["loss"] for row in whole.curve]
    assert [path.suffix for path in (tmp_path / "killed").iterdir()] == [".safetensors"]


def test_stock_fit_without_validation_keeps_the_last_epoch(split: Split, tmp_path: Path) -> None:
    plain = StockSASRec(**SMALL).fit(TrainingData(split.train, device="cpu", workdir=tmp_path / "a"))
    StockSASRec(**{**SMALL, "epochs": 1}).fit(TrainingData(split.train, device="cpu", workdir=tmp_path / "b"))
    continued = StockSASRec(**SMALL).fit(TrainingData(split.train, device="cpu", workdir=tmp_path / "b"))
    assert all(np.array_equal(plain.state[name], array) for name, array in continued.state.items())
    assert len(continued.curve) == 2
    assert "valid" not in plain.curve[0]


def test_stock_checkpoint_of_another_seed_is_not_resumed(split: Split, tmp_path: Path) -> None:
    first = StockSASRec(**SMALL).fit(TrainingData(split.train, split.valid, device="cpu", workdir=tmp_path, seed=1))
    second = StockSASRec(**SMALL).fit(TrainingData(split.train, split.valid, device="cpu", workdir=tmp_path, seed=2))
    fresh = StockSASRec(**SMALL).fit(TrainingData(split.train, split.valid, device="cpu", seed=2))
    assert not np.array_equal(first.state["item_embedding.weight"], second.state["item_embedding.weight"])
    assert all(np.array_equal(second.state[name], array) for name, array in fresh.state.items())


def test_second_stock_fit_starts_from_scratch(split: Split) -> None:
    data = TrainingData(split.train, split.valid, device="cpu")
    ranker = StockSASRec(**SMALL).fit(data)
    before = ranker.score(QUERIES, np.arange(1, V + 1))
    torch.rand(3)
    np.testing.assert_array_equal(ranker.fit(data).score(QUERIES, np.arange(1, V + 1)), before)


def test_stock_fit_restores_random_generators(split: Split) -> None:
    before = torch.get_rng_state()
    StockBERT4Rec(**{**SMALL, "epochs": 1}).fit(TrainingData(split.train, split.valid, device="cpu"))
    assert torch.equal(torch.get_rng_state(), before)


def test_stock_batches_without_targets_are_skipped(split: Split) -> None:
    # batches of one row: many have no mask but one at position 0, for which RecBole's loss is 0 / 0
    few = PlaylistSet(split.train.corpus, split.train.rows[:15], split.train.starts[:15], split.train.ends[:15])
    ranker = StockBERT4Rec(**{**SMALL, "epochs": 1, "train_batch_size": 1}).fit(TrainingData(few, device="cpu"))
    assert 1.0 < ranker.curve[0]["loss"] < 4.0


def test_max_seconds_marks_the_model_underfit(split: Split) -> None:
    ranker = StockSASRec(**{**SMALL, "max_seconds": 1e-9}).fit(TrainingData(split.train, split.valid, device="cpu"))
    assert ranker.underfit
    assert ranker.curve == []
    assert np.isfinite(ranker.score(QUERIES.part(0, 4), np.arange(1, V + 1))).all()


def test_seconds_and_max_seconds_use_the_clock_argument(split: Split) -> None:
    ticks = itertools.count(100.0)
    data = TrainingData(split.train, device="cpu", clock=lambda: next(ticks))
    # read once at the start, once a step where there is a limit, and once at the end of an epoch
    assert [row["seconds"] for row in StockSASRec(**SMALL).fit(data).curve] == [1.0, 2.0]
    short = {**SMALL, "train_batch_size": len(split.train.flat()[0])}
    cut = StockSASRec(**{**short, "max_seconds": 2.5}).fit(data)
    assert [row["seconds"] for row in cut.curve] == [2.0]
    assert cut.underfit


@pytest.mark.parametrize("cls", CLASSES)
def test_loaded_stock_model_returns_identical_scores(
    cls: type[StockRanker], fitted: dict[type[StockRanker], StockRanker], tmp_path: Path
) -> None:
    fitted[cls].save(tmp_path / "model")
    assert sorted(path.suffix for path in (tmp_path / "model").iterdir()) == [".json", ".json", ".safetensors"]
    loaded = cls.load(tmp_path / "model")
    items = np.arange(1, V + 1)
    np.testing.assert_array_equal(loaded.score(QUERIES, items), fitted[cls].score(QUERIES, items))
    assert (loaded.underfit, loaded.curve, loaded.n_items) == (fitted[cls].underfit, fitted[cls].curve, V)
    (tmp_path / "model" / "training.json").unlink()
    with pytest.raises(RunDirectoryError, match="delete the folder and fit the ranker again"):
        cls.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("cls", "params", "message"),
    [
        (StockSASRec, {"epoch": 3}, "recbole-sasrec: epoch is not a key: did you mean epochs?"),
        (StockSASRec, {"epochs": 0}, "epochs=0 must be"),
        (StockSASRec, {"heads": 3}, "hidden_size=64 must be a multiple of heads=3"),
        (StockBERT4Rec, {"max_length": 4}, "max_length=4 must be at least 5"),
    ],
)
def test_invalid_stock_parameters_raise_with_name_and_value(
    cls: type[StockRanker], params: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        cls(**params)
    assert message in str(caught.value)


def test_stock_fit_errors_name_value_and_cure(split: Split) -> None:
    with pytest.raises(SegueError, match="recbole-sasrec is not fitted"):
        StockSASRec().score(QUERIES, np.arange(3))
    with pytest.raises(InputError, match="remove the recbole baselines"):
        StockSASRec(memory_gb=1e-6).fit(TrainingData(split.train, device="cpu"))
    with pytest.raises(SegueError, match=r"the loss of SASRec is nan: reduce learning_rate=1e\+30"):
        StockSASRec(**{**SMALL, "learning_rate": 1e30, "train_batch_size": 4}).fit(
            TrainingData(split.train, device="cpu")
        )


def test_stock_step_larger_than_memory_raises_before_allocation(
    split: Split, fitted: dict[type[StockRanker], StockRanker], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = min(64, int((split.train.lengths - 1).sum()))
    need = 4 * 4 * rows * 2 * V  # of max_length 10 two are masked
    for free, refused in ((need - 1, True), (need, False)):
        monkeypatch.setattr("toolkit.baselines.stock.stock_models.free_memory", lambda device, free=free: free)
        bert = StockBERT4Rec(**{**SMALL, "max_length": 10})
        assert bool(bert.memory_problem(split.train, "cpu")) == refused
        assert not StockSASRec(**{**SMALL, "max_length": 10}).memory_problem(split.train, "cpu")
    monkeypatch.setattr("toolkit.baselines.stock.stock_models.free_memory", lambda device: 100)
    message = (
        r"recbole-bert4rec: the scores of train_batch_size=\d+ rows over \d+ tracks take at least .*"
        r" reduce train_batch_size to \d+"
    )
    with pytest.raises(InputError, match=message):
        StockBERT4Rec(**SMALL).fit(TrainingData(split.train, split.valid, device="cpu"))
    # what is lent a training takes no step
    lent = TrainingData(split.train, split.valid, device="cpu", systems={"recbole-bert4rec": fitted[StockBERT4Rec]})
    assert FixedBERT4Rec(**SMALL).fit(lent).n_items == V


def few(split: Split) -> HeldOut:
    """Return validation playlists with fewer than 50 next tracks, and an unplayed track as the next one of the last."""
    part = split.valid.part(0, 30)
    placements = np.array(part.corpus.items)
    placements[part.cuts[29]] = 13
    return replace(part, placements=placements)


@pytest.mark.parametrize("cls", [StockSASRec, StockBERT4Rec])
def test_stock_validation_with_few_hits_ranks_the_next_tracks(cls: type[StockRanker], split: Split) -> None:
    """Compare with ranks by sorting RecBole's own scores, in which seeds and unplayed tracks are ranked as well."""
    valid = few(split)
    ranker = cls(**{**SMALL, "epochs": 1}).fit(TrainingData(split.train, valid, device="cpu"))
    scores = ranker.score(valid.queries(), np.arange(1, V + 1))
    order = np.argsort(-scores, axis=1) + 1
    targets = valid.items[valid.cuts]
    ranks = np.array([row.tolist().index(target) + 1 for row, target in zip(order, targets, strict=True)])
    assert ranker.curve[0]["hits"] == (ranks <= 10).sum()
    assert ranker.curve[0]["log_rank"] == pytest.approx(np.log(ranks[:29]).mean())
    assert ranker.curve[0]["valid"] == pytest.approx(np.where(ranks <= 10, 1 / ranks, 0).mean(), abs=5e-5)


def test_stock_training_with_few_hits_is_judged_by_the_log_rank(tmp_path: Path) -> None:
    """MRR@10 is highest in the third epoch, by 3 hits in 30 playlists, and would end the training after the fifth."""
    rng = np.random.default_rng(0)
    lists = [((start + np.arange(5 + start % 4) * 3) % 200 + 1).tolist() for start in rng.integers(0, 200, 60)]
    sparse = leave_last_out(corpus(lists, 200))
    data = TrainingData(sparse.train, sparse.valid.part(0, 30), device="cpu", workdir=tmp_path)
    params = {**SMALL, "epochs": 25, "learning_rate": 0.003, "stopping_step": 1}
    ranker = StockSASRec(**params).fit(data)
    valid, ranks = ([row[key] for row in ranker.curve] for key in ("valid", "log_rank"))
    best = ranks.index(min(ranks)) + 1
    assert all(row["hits"] < 10 for row in ranker.curve)
    assert max(valid[:5]) == valid[2]
    assert 5 < best == len(ranks) - 2 < 23
    assert not ranker.underfit
    shorter = StockSASRec(**{**params, "epochs": best}).fit(replace(data, workdir=None))
    assert all(np.array_equal(shorter.state[name], array) for name, array in ranker.state.items())
    again = StockSASRec(**params).fit(data)
    assert again.curve == ranker.curve
    assert all(np.array_equal(again.state[name], array) for name, array in ranker.state.items())


def test_resuming_a_killed_stock_fit_with_few_hits_chooses_the_same_epoch(split: Split, tmp_path: Path) -> None:
    params = {**SMALL, "epochs": 4}
    data = TrainingData(split.train, few(split), device="cpu")
    whole = StockSASRec(**params).fit(data)

    def kill(done: int, total: int, what: str) -> None:
        if done > total * 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StockSASRec(**params).fit(replace(data, workdir=tmp_path, progress=kill))
    resumed = StockSASRec(**params).fit(replace(data, workdir=tmp_path))
    curves = ([{**row, "seconds": 0} for row in each.curve] for each in (resumed, whole))
    assert next(curves) == next(curves)
    assert all("log_rank" in row for row in whole.curve)
    assert all(np.array_equal(whole.state[name], array) for name, array in resumed.state.items())


def test_stock_training_with_enough_hits_has_no_log_rank(fitted: dict[type[StockRanker], StockRanker]) -> None:
    few_hits, enough = fitted[StockSASRec].curve
    assert (few_hits["hits"] < 50, enough["hits"] >= 50) == (True, True)
    assert ("log_rank" in few_hits, "log_rank" in enough) == (True, False)

"""Tests that baselines with a network that did not learn are flagged, in memory and loaded, and that others are not."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.baselines.conftest import corpus_of
from toolkit.baselines.stock.stock_gru4rec import StockGRU4Rec
from toolkit.baselines.stock.stock_models import FixedBERT4Rec, StockBERT4Rec, StockRanker, StockSASRec
from toolkit.baselines.transrec import TransRec, TransRecGlobal
from toolkit.corpus.splits import Split, leave_last_out
from toolkit.ranker import TrainingData

SMALL: dict[str, Any] = {"hidden_size": 16, "max_length": 6, "train_batch_size": 64}
STOCK: list[type[StockRanker]] = [StockSASRec, StockBERT4Rec, StockGRU4Rec]
UNMOVED = "the weights did not change"


@pytest.fixture(scope="module")
def data() -> TrainingData:
    """Return playlists along a ring of 20 tracks."""
    lists = [[(start + step) % 20 + 1 for step in range(4 + start % 5)] for start in range(120)]
    split: Split = leave_last_out(corpus_of(lists, 22))
    return TrainingData(split.train, device="cpu", seed=4)


@pytest.mark.parametrize("cls", STOCK)
def test_stock_model_is_flagged_by_its_loss_until_it_has_learned(
    cls: type[StockRanker], data: TrainingData, tmp_path: Path
) -> None:
    few = cls(**SMALL, epochs=1, learning_rate=1e-4).fit(data)
    assert "the loss of the best constant prediction" in few.collapsed
    few.save(tmp_path)
    assert cls.load(tmp_path).learning == few.learning
    many = cls(**SMALL, epochs=40, learning_rate=1e-2).fit(data)
    assert many.learning is not None and many.learning.loss is not None and many.learning.constant is not None
    assert many.learning.loss < 0.7 * many.learning.constant
    assert many.collapsed == ""


@pytest.mark.parametrize("cls", STOCK)
def test_stock_model_with_a_learning_rate_of_zero_is_collapsed(cls: type[StockRanker], data: TrainingData) -> None:
    assert cls(**SMALL, epochs=1, learning_rate=1e-12).fit(data).collapsed == UNMOVED


def test_constant_loss_of_a_stock_model_is_the_cross_entropy_of_its_targets(data: TrainingData) -> None:
    """The slow way: every target of every prefix, and its share of all targets. One batch holds all rows."""
    found = StockSASRec(**SMALL | {"train_batch_size": 10_000}, epochs=1).fit(data).learning
    items, offsets = data.train.flat()
    targets = np.concatenate([items[low + 1 : high] for low, high in pairwise(offsets)])
    shares = np.bincount(targets) / len(targets)
    assert found is not None and found.constant == pytest.approx(-np.log(shares[targets]).mean(), rel=1e-6)


def test_model_with_shared_training_has_the_same_record(data: TrainingData) -> None:
    trained = StockBERT4Rec(**SMALL, epochs=1).fit(data)
    fixed = FixedBERT4Rec(**SMALL, epochs=1).fit(replace(data, systems={"recbole-bert4rec": trained}))
    assert fixed.learning == trained.learning


@pytest.mark.parametrize("cls", [TransRecGlobal, TransRec])
def test_transrec_is_flagged_only_if_it_did_not_learn(
    cls: type[TransRecGlobal], data: TrainingData, tmp_path: Path
) -> None:
    params = {"dim": 8, "batch": 64, "regularisation": 0.001}
    good = cls(**params, epochs=40, learning_rate=0.05).fit(data)
    assert good.learning is not None and good.learning.loss is not None and good.learning.loss < 0.4
    assert good.collapsed == ""
    good.save(tmp_path)
    assert cls.load(tmp_path).learning == good.learning
    assert cls(**params, epochs=1, learning_rate=1e-12).fit(data).collapsed == UNMOVED

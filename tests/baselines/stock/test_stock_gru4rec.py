"""Tests of RecBole's GRU4Rec as a ranker: scores equal to RecBole's, and the ranker contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segue.checks.check_ranker import check_ranker
from tests.baselines.conftest import corpus_of
from toolkit.baselines.stock.stock_gru4rec import StockGRU4Rec
from toolkit.corpus.splits import Split, leave_last_out
from toolkit.ranker import TrainingData
from toolkit.sequential.recbole import bridge

SMALL: dict[str, Any] = {"embedding_size": 16, "hidden_size": 24, "max_length": 6, "train_batch_size": 64, "epochs": 30}


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_last_out(
        corpus_of([[(start + step) % 12 + 1 for step in range(4 + start % 5)] for start in range(60)], 14)
    )


def test_stock_gru4rec_passes_check_ranker(split: Split) -> None:
    data = TrainingData(split.train, split.valid, device="cpu")
    check_ranker(lambda: StockGRU4Rec(**{**SMALL, "epochs": 1}), data, split.test.part(0, 6), k=5)


def test_stock_gru4rec_scores_equal_recbole_on_a_learned_ring(split: Split) -> None:
    ranker = StockGRU4Rec(**SMALL, learning_rate=0.01).fit(TrainingData(split.train, split.valid, device="cpu"))
    queries = split.test.queries()
    ids, lengths = queries.last(6)
    padded = np.zeros((len(ids), 6), np.int64)
    padded[:, : ids.shape[1]] = ids
    fields = {"item_id_list": torch.from_numpy(padded), "item_length": torch.from_numpy(lengths)}
    with torch.no_grad():
        expected = ranker.model.full_sort_predict(bridge.Interaction(fields))
    np.testing.assert_allclose(ranker.score(queries, np.arange(1, 15)), expected[:, 1:].numpy(), atol=1e-5)
    assert np.mean(ranker.target_ranks(queries, split.test.hidden()[0]) == 1) > 0.9
    assert ranker.curve and ranker.curve[-1]["loss"] < ranker.curve[0]["loss"]

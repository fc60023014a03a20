"""Tests that TransRec learns a shared translation, and a translation of each training playlist."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segue.checks.check_ranker import check_ranker
from tests.baselines.conftest import corpus_of
from toolkit.baselines.transrec import TransRec, TransRecGlobal
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut, Split, leave_last_out
from toolkit.errors import InputError
from toolkit.evaluation.log_rank import HitCount
from toolkit.ranker import TrainingData

LINE = 20
PARAMS = {"dim": 8, "batch": 64, "epochs": 40, "learning_rate": 0.05, "regularisation": 0.001}


@pytest.fixture(scope="module")
def split() -> Split:
    """Return playlists along a line of 20 tracks, half forwards and half backwards, and two unplayed tracks."""
    lists = [
        list(range(start, start + 7))[:: 1 if number % 2 else -1] for number, start in enumerate(list(range(1, 15)) * 4)
    ]
    return leave_last_out(corpus_of(lists, LINE + 2))


@pytest.fixture(scope="module")
def data(split: Split) -> TrainingData:
    return TrainingData(split.train, split.valid, device="cpu", seed=4)


def test_transrec_passes_check_ranker(data: TrainingData, split: Split) -> None:
    # the suite also fits half of the playlists, and validation is of all
    check_ranker(lambda: TransRec(**{**PARAMS, "epochs": 4}), replace(data, valid=None), split.test.part(0, 6), k=5)


def test_transrec_global_ranks_playlists_in_one_direction(split: Split) -> None:
    train = split.train
    forwards = replace(train, rows=train.rows[1::2], starts=train.starts[1::2], ends=train.ends[1::2])
    ranker = TransRecGlobal(**PARAMS).fit(TrainingData(forwards, device="cpu"))
    ids, _ = ranker.rank(Queries.of([[track] for track in range(4, 14)]), 3)
    assert np.mean([track + 1 in row for track, row in zip(range(4, 14), ids.tolist(), strict=True)]) >= 0.8


def test_transrec_learns_a_vector_per_playlist_under_leave_last_out(data: TrainingData, split: Split) -> None:
    ranker = TransRec(**{**PARAMS, "regularisation": 0.0, "epochs": 100, "learning_rate": 0.02}).fit(
        replace(data, valid=None)
    )
    rows = split.train.rows
    seeds = split.train.corpus.items[split.train.starts + 2]
    way = np.where(rows % 2, 1, -1)
    asked = np.arange(len(rows))

    def share_ahead(queries: Queries) -> float:
        """Return the share of queries with the next track in their direction ranked before the track behind."""
        scores = ranker.score(queries, np.arange(1, LINE + 3))
        return float(np.mean(scores[asked, seeds + way - 1] > scores[asked, seeds - way - 1]))

    offsets = np.arange(len(rows) + 1)
    assert share_ahead(Queries(seeds, offsets, rows=rows)) > 0.8 > 0.5 > share_ahead(Queries(seeds, offsets))


def test_transrec_scores_are_distances_after_last_known_seed(data: TrainingData, split: Split) -> None:
    ranker = TransRec(**{**PARAMS, "epochs": 4}).fit(data)
    state, items = ranker.state, np.arange(1, LINE + 3)
    rows = np.array([5])
    found = ranker.score(Queries(np.array([3, 8, 21], np.int32), np.array([0, 3]), rows=rows), items)[0]
    at = state["points"][8] + state["translation"] + state["own"][list(state["rows"]).index(5)]
    played = split.train.counts()[1:] > 0
    expected = np.array([state["biases"][j] - np.square(at - state["points"][j]).sum() for j in items])
    np.testing.assert_allclose(found[played], expected[played], rtol=1e-4, atol=1e-5)
    assert np.isneginf(found[~played]).all() and not played[LINE:].any()
    assert np.isneginf(ranker.score(Queries.of([[21], []]), items)).all()
    assert np.linalg.norm(state["points"], axis=1).max() <= 1 + 1e-5


def test_transrec_raises_for_held_out_validation_playlists(data: TrainingData, split: Split) -> None:
    few = replace(data.train, rows=data.train.rows[10:], starts=data.train.starts[10:], ends=data.train.ends[10:])
    with pytest.raises(InputError, match="transrec requires validation playlists .*: use transrec-global"):
        TransRec(**PARAMS).fit(replace(data, train=few))
    alone = HeldOut(
        split.valid.corpus, split.valid.rows[:10], split.valid.starts[:10], split.valid.cuts[:10], split.valid.ends[:10]
    )
    assert (
        TransRecGlobal(**{**PARAMS, "epochs": 4})
        .fit(replace(data, train=few, valid=alone))
        .rank(alone.queries(), 1)[0]
        .all()
    )


def test_transrec_with_few_hits_keeps_the_epoch_with_the_best_log_rank(data: TrainingData, split: Split) -> None:
    """Recall@50 over 22 tracks is 1 in every epoch: by itself it would keep the fourth."""
    valid = split.valid.part(0, 30)
    ranker = TransRec(**{**PARAMS, "patience": 100}).fit(replace(data, valid=valid))
    curve = list(ranker.curve)
    assert [row["epoch"] for row in curve] == list(range(4, 41, 4))
    assert {row["recall@50"] for row in curve} == {1.0}
    assert {row["hits"] for row in curve} == {30}
    best = min(curve, key=lambda row: row["log_rank"])
    assert best["epoch"] > 4
    count = HitCount(ranker, 50, data.train.counts() > 0)
    count.add(valid, valid.queries(), ranker.rank(valid.queries(), 50)[0])
    assert count.values() == {"hits": 30, "log_rank": best["log_rank"]}
    shorter = TransRec(**{**PARAMS, "epochs": best["epoch"]}).fit(replace(data, valid=None))
    assert all(np.array_equal(shorter.state[name], array) for name, array in ranker.state.items())


def test_transrec_with_enough_hits_is_judged_by_recall(data: TrainingData, split: Split) -> None:
    ranker = TransRec(**PARAMS).fit(data)
    assert [set(row) for row in ranker.curve] == [{"epoch", "recall@50", "hits"}] * 4  # patience 3 after the first
    assert {row["hits"] for row in ranker.curve} == {len(split.valid)}

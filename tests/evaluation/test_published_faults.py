"""Tests of each fault of the published `leave_last_out`: removed inputs and effect on metrics."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from tests.evaluation.fixed_rankers import Fixed
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import Split
from toolkit.evaluation.evaluator import evaluate
from toolkit.evaluation.protocols.leave_last_out import LeaveLastOut
from toolkit.ranker import Scorer

LONG = list(range(2, 80))


@pytest.fixture(scope="module")
def made(corpus_of: Callable[..., Corpus]) -> Callable[..., Split]:
    corpus = corpus_of([[4, 1, 5, 6, 7], [1, 8, 9, 10], LONG], 90)
    return lambda *faults: LeaveLastOut(faults=list(faults)).split(corpus)


def seeds(parts: Split) -> list[list[int]]:
    queries = parts.test.queries()
    return [queries.seeds[a:b].tolist() for a, b in pairwise(queries.offsets)]


def training(parts: Split) -> list[list[int]]:
    items, offsets = parts.train.flat()
    return [items[a:b].tolist() for a, b in pairwise(offsets)]


def test_split_without_faults_shows_all_tracks_but_the_last(made: Callable[..., Split]) -> None:
    parts = made()
    assert seeds(parts) == [[4, 1, 5, 6], [1, 8, 9], LONG[:-1]] and training(parts) == [[4, 1, 5], [1, 8], LONG[:-2]]


def test_lost_tracks_removes_the_validation_track_and_the_track_before_it(made: Callable[..., Split]) -> None:
    parts = made("lost_tracks")
    assert seeds(parts) == [[4, 1], [1], LONG[:-3]] and training(parts) == training(made())
    assert parts.valid.queries().seeds.tolist() == made().valid.queries().seeds.tolist()


def test_item_zero_removes_the_first_track(made: Callable[..., Split]) -> None:
    parts = made("item_zero")
    assert seeds(parts) == [[4, 5, 6], [8, 9], LONG[:-1]] and training(parts) == [[4, 5], [8], LONG[:-2]]
    assert parts.train.counts()[1] == 0 and parts.train.titles() == [None] * 3


def test_first_50_trains_on_the_first_and_tests_on_the_last_50_tracks(made: Callable[..., Split]) -> None:
    parts = made("first_50")
    assert training(parts)[2] == LONG[:50] and seeds(parts)[2] == LONG[-51:-1]
    assert seeds(parts)[:2] == seeds(made())[:2]


@pytest.mark.parametrize(
    "faults", [(), ("lost_tracks",), ("item_zero",), ("first_50",), ("lost_tracks", "item_zero", "first_50")]
)
def test_faults_do_not_change_hidden_tracks(faults: tuple[str, ...], made: Callable[..., Split]) -> None:
    parts = made(*faults)
    assert [parts.test.hidden()[0].tolist(), parts.valid.hidden()[0].tolist()] == [[7, 10, 79], [6, 9, 78]]


class Follows(Fixed):
    """Ranker that ranks the track with the next number after the last seed."""

    def scorer(self, queries: Queries) -> Scorer:
        last = queries.seeds[queries.offsets[1:] - 1].astype(np.int64)
        return lambda items: -((items[None].astype(np.int64) - last[:, None] - 1) % 90).astype(np.float32)


@pytest.mark.parametrize(
    ("faults", "first", "three"), [((), 1, 1), (("lost_tracks",), 0, 1 / 3), (("first_50",), 1, 1)]
)
def test_faults_lower_the_recall_of_a_ranker_that_knows_the_next_track(
    faults: tuple[str, ...], first: float, three: float, made: Callable[..., Split]
) -> None:
    scores = evaluate(
        Follows(90, lambda *_: np.zeros(1)),
        made(*faults).test,
        ks=[1, 3],
        metrics=["recall"],
        train_counts=np.ones(91, int),
    )
    assert scores.values["all", "recall", 1].mean() == pytest.approx(first)
    assert scores.values["all", "recall", 3].mean() == pytest.approx(three)

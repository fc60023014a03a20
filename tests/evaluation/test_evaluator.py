"""Tests of the evaluator: equality with a plain loop, slices, memory, and invalid rankings."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from tests.evaluation.fixed_rankers import Fixed, by_id, scattered
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.errors import SegueError
from toolkit.evaluation.evaluator import block_sizes, evaluate, hidden_slices

Build = Callable[..., Corpus]


def held_out(corpus: Corpus, shown: int) -> HeldOut:
    starts, ends = corpus.offsets[:-1], corpus.offsets[1:]
    return HeldOut(corpus, np.arange(len(corpus)), starts, starts + shown, ends)


def test_evaluate_matches_hand_computed_values(corpus_of: Build) -> None:
    # shown 1 and 5; ranking without them: 2 3 4 5 6 and 1 2 3 4 6
    part = held_out(corpus_of([[1, 2, 6, 2], [5, 4, 5], [3, 3]], 6), 1)
    counts = np.array([0, 1, 1, 1, 0, 1, 0])  # 4 and 6 are unplayed
    scores = evaluate(by_id(6), part, ks=[1, 4, 5], metrics=["recall", "ndcg"], train_counts=counts, top=2)
    nan = float("nan")
    expected = {
        ("all", "recall", 1): [1, 0, nan],
        ("all", "recall", 4): [1 / 2, 1, nan],
        ("all", "recall", 5): [1, 1, nan],
        ("warm", "recall", 1): [1, nan, nan],
        ("cold", "recall", 4): [0, 1, nan],
        ("cold", "recall", 5): [1, 1, nan],
        ("cold", "ndcg", 5): [1 / np.log2(6), 1 / np.log2(5), nan],
        ("all", "ndcg", 5): [(1 + 1 / np.log2(6)) / (1 + 1 / np.log2(3)), 1 / np.log2(5), nan],
    }
    for key, values in expected.items():
        np.testing.assert_allclose(scores.values[key], values, err_msg=str(key))
    assert {name: sizes.tolist() for name, sizes in scores.n_hidden.items()} == {
        "all": [2, 1, 0],
        "warm": [1, 0, 0],
        "cold": [1, 1, 0],
    }
    assert scores.top.tolist() == [[2, 3], [1, 2], [1, 2]]


def test_warm_and_cold_slices_partition_the_hidden_tracks(corpus_of: Build) -> None:
    part = held_out(corpus_of([[1, 2, 3], [2, 4, 3, 5]], 5), 1)
    slices = hidden_slices(part, np.array([0, 3, 1, 0, 2, 0]))
    assert {name: (tracks.tolist(), offsets.tolist()) for name, (tracks, offsets) in slices.items()} == {
        "all": ([2, 3, 4, 3, 5], [0, 2, 5]),
        "warm": ([2, 4], [0, 1, 2]),
        "cold": ([3, 3, 5], [0, 1, 3]),
    }


@pytest.fixture(scope="module")
def large(corpus_of: Build) -> HeldOut:
    generator = np.random.default_rng(2)
    return held_out(corpus_of([generator.integers(1, 40_001, size=30).tolist() for _ in range(150)], 40_000), 10)


@pytest.mark.parametrize("repeats", [False, True])
def test_evaluate_equals_plain_loop_for_any_block_size(repeats: bool, large: HeldOut) -> None:
    ranker, counts, steps = scattered(40_000), np.arange(40_001) % 3, []
    rows, block = block_sizes(40_000, 5_000, 16)
    assert rows < 150 / 3 and block < 40_000 / 2
    found = evaluate(
        ranker,
        large,
        ks=[500, 5_000],
        metrics=["recall"],
        train_counts=counts,
        allow_repeats=repeats,
        memory_mb=16,
        progress=lambda *step: steps.append(step),
    )
    hidden, offsets = large.hidden()
    queries = large.queries()
    for b in range(0, 150, 7):
        one = queries.part(b, b + 1)
        scores = ranker.score(one, np.arange(1, 40_001))[0]
        scores[one.seeds - 1] = scores[one.seeds - 1] if repeats else -np.inf
        top = (np.argsort(-scores, kind="stable") + 1).tolist()
        for k in (500, 5_000):
            for name, wanted in (
                ("all", lambda item: True),
                ("cold", lambda item: counts[item] == 0),
                ("warm", lambda item: counts[item] > 0),
            ):
                tracks = {item for item in hidden[offsets[b] : offsets[b + 1]].tolist() if wanted(item)}
                assert found.values[name, "recall", k][b] == pytest.approx(
                    len(tracks & set(top[:k])) / min(k, len(tracks))
                )
    assert steps[-1] == (150, 150, "fixed") and [done for done, _, _ in steps] == [
        min((i + 1) * rows, 150) for i in range(len(steps))
    ]


def test_evaluate_is_independent_of_memory_limit(large: HeldOut) -> None:
    settings = {"ks": [20, 300], "metrics": ["recall", "ndcg"], "train_counts": np.arange(40_001) % 3}
    narrow, wide = (evaluate(scattered(40_000), large, memory_mb=memory, **settings) for memory in (16, 512))
    for key, values in narrow.values.items():
        np.testing.assert_array_equal(values, wide.values[key], err_msg=str(key))


@pytest.mark.parametrize(("memory_mb", "k"), [(16, 50), (16, 5_000), (48, 500)])
def test_scores_in_memory_stay_within_limit(memory_mb: int, k: int, large: HeldOut) -> None:
    ranker = Fixed(40_000, lambda sums, items: np.broadcast_to(-items.astype(np.float32), (len(sums), items.shape[1])))
    settings = {"ks": [k], "metrics": ["recall"], "train_counts": np.ones(40_001, np.int64)}
    evaluate(ranker, large.part(0, 2), **settings)
    tracemalloc.start()
    evaluate(ranker, large, memory_mb=memory_mb, **settings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= memory_mb * 2**20


@pytest.mark.parametrize(
    ("n_items", "k", "memory_mb"), [(10, 500, 16), (2_000_000, 500, 256), (2_000_000, 100_000, 16), (1, 1, 16)]
)
def test_block_sizes_are_positive(n_items: int, k: int, memory_mb: int) -> None:
    rows, block = block_sizes(n_items, k, memory_mb)
    assert rows >= 1 and 1 <= block <= n_items


class Wrong(Fixed):
    """Ranker that returns a fixed ranking for every query."""

    def __init__(self, n_items: int, ranking: list[int]) -> None:
        super().__init__(n_items, lambda sums, items: sums + items)
        self.ranking = ranking

    def rank(
        self, queries: Queries, k: int, *, allow_repeats: bool = False, block: int = 16_384
    ) -> tuple[np.ndarray, np.ndarray]:
        ids = np.tile(np.array(self.ranking, np.int32), (len(queries), 1))
        return ids, np.zeros(ids.shape, np.float32)


@pytest.mark.parametrize(
    ("ranking", "message"),
    [
        ([2, 1, 3], "fixed returned item 1, a seed of the same playlist"),
        ([2, 3, 2], "fixed returned item 2 twice for a playlist: rank each item once$"),
        ([2, 3, 9], r"fixed returned ids 2…9, which must be in 1…5: rank tracks of the corpus, and pad with 0$"),
        ([2, 3, -1], "fixed returned ids -1…3, which must be in 1…5"),
        ([2, 3], r"fixed returned ids of shape \(1, 2\) and must return \(1, 3\): pad rows with 0"),
    ],
)
def test_invalid_rankings_raise(ranking: list[int], message: str, corpus_of: Build) -> None:
    part = held_out(corpus_of([[1, 4, 5]], 5), 1)
    with pytest.raises(SegueError, match=message):
        evaluate(Wrong(5, ranking), part, ks=[3], metrics=["recall"], train_counts=np.ones(6))


def test_allow_repeats_permits_ranked_seeds(corpus_of: Build) -> None:
    part = held_out(corpus_of([[1, 4, 1]], 5), 1)
    scores = evaluate(
        Wrong(5, [1, 2, 4]), part, ks=[3], metrics=["recall"], train_counts=np.ones(6), allow_repeats=True
    )
    assert scores.values["all", "recall", 3].tolist() == [1.0]


def test_unknown_metric_and_empty_part_raise(corpus_of: Build) -> None:
    part = held_out(corpus_of([[1, 2]], 3), 1)
    with pytest.raises(SegueError, match="'recal' is not a metric: did you mean 'recall'"):
        evaluate(by_id(3), part, ks=[1], metrics=["recal"], train_counts=np.ones(4))
    with pytest.raises(SegueError, match="must contain at least one playlist"):
        evaluate(by_id(3), part.part(0, 0), ks=[1], metrics=["recall"], train_counts=np.ones(4))


class Sorted(Fixed):
    """Ranker with its own `rank`, so that ranks are not counted."""

    def rank(
        self, queries: Queries, k: int, *, allow_repeats: bool = False, block: int = 16_384
    ) -> tuple[np.ndarray, np.ndarray]:
        return super().rank(queries, k, allow_repeats=allow_repeats, block=block)


@pytest.mark.parametrize("repeats", [False, True])
def test_counted_ranks_give_same_metrics_as_sorted_ranking(repeats: bool, large: HeldOut) -> None:
    """The scores have few distinct values and therefore many ties."""
    last = HeldOut(large.corpus, large.rows, large.starts, large.ends - 1, large.ends)
    tied = lambda sums, items: (items * (2 * sums + 7919)) % 4_001  # noqa: E731
    settings = {
        "ks": [10, 2_000],
        "metrics": ["recall", "ndcg"],
        "train_counts": np.arange(40_001) % 3,
        "allow_repeats": repeats,
    }
    found = evaluate(Fixed(40_000, tied), last, memory_mb=16, **settings)
    wanted = evaluate(Sorted(40_000, tied), last, memory_mb=16, **settings)
    assert 0 < np.nanmean(wanted.values["all", "recall", 2_000]) < 1
    for key, values in wanted.values.items():
        np.testing.assert_array_equal(found.values[key], values, err_msg=str(key))

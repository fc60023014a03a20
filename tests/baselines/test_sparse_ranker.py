"""Rankings from sparse scores: equal to dense rankings, and in memory that does not grow with the catalogue."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp

from segue_papers.rankers.attribute_knn import AttributeKNN
from toolkit.baselines.item_knn import ItemKNN
from toolkit.baselines.session.session_knn import SessionKNN
from toolkit.baselines.session.stan import STAN, VSTAN
from toolkit.baselines.session.vsknn import VSKNN
from toolkit.baselines.sparse_ranker import SparseRanker
from toolkit.corpus.item_similarity import by_item, similarities, stacked, top_per_row
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.evaluation.evaluator import evaluate
from toolkit.ranker import Scorer, TrainingData
from toolkit.topk import blocked_ranks, blocked_top_k

Training = Callable[..., TrainingData]
Small = tuple[TrainingData, HeldOut]

RANKERS = (
    ItemKNN(),
    ItemKNN(neighbours=5, shrink=2.0),
    SessionKNN(neighbours=3),
    SessionKNN(),
    VSKNN(),
    STAN(neighbours=7),
    VSTAN(),
    AttributeKNN(),
)


def fitted(ranker: SparseRanker, small: Small) -> SparseRanker:
    data = small[0]
    if ranker.capabilities.modalities:
        data = TrainingData(data.train, modalities={"audio": data.modalities["audio"]}, seed=3)
    return ranker.fit(data)


@pytest.mark.parametrize("ranker", RANKERS, ids=lambda ranker: f"{ranker.name} {ranker.params.neighbours}")
@pytest.mark.parametrize("allow_repeats", [False, True])
@pytest.mark.parametrize("k", [1, 7, 90, 200])
def test_sparse_ranking_equals_dense_ranking_bit_for_bit(
    ranker: SparseRanker, allow_repeats: bool, k: int, small: Small
) -> None:
    fit, random = fitted(ranker, small), np.random.default_rng(k)
    queries = Queries.of([[], [85], [3, 3, 1], *(random.integers(1, 91, n).tolist() for n in range(1, 40))])
    dense = blocked_top_k(fit.scorer(queries), queries, 90, k, allow_repeats=allow_repeats, block=16)
    for block in (1, 16, 16_384):
        ids, scores = fit.rank(queries, k, allow_repeats=allow_repeats, block=block)
        np.testing.assert_array_equal(ids, dense[0])
        np.testing.assert_array_equal(scores, dense[1])
    targets = random.integers(1, 91, len(queries))
    ranks = blocked_ranks(fit.scorer(queries), queries, targets, 90, allow_repeats=allow_repeats)
    np.testing.assert_array_equal(fit.target_ranks(queries, targets, allow_repeats=allow_repeats, block=4), ranks)
    limited = fit.target_ranks(queries, targets, limit=5, allow_repeats=allow_repeats)
    np.testing.assert_array_equal(limited, np.where(ranks > 5, 0, ranks))


def test_ties_are_broken_by_the_smaller_id_where_a_ranking_is_cut(training: Training) -> None:
    ranker = ItemKNN().fit(training([[1, 9, 7, 5, 3], [2, 4]], 9))
    ids, scores = ranker.rank(Queries.of([[1]]), 3)
    assert ids.tolist() == [[3, 5, 7]] and scores.tolist() == [[1, 1, 1]]


def test_sparse_ranker_is_measured_as_its_dense_scores_are(small: Small) -> None:
    data, held_out = small
    settings = {"ks": [5, 20], "metrics": ["recall", "ndcg"], "train_counts": data.train.counts()}
    sparse = evaluate(ItemKNN().fit(data), held_out, top=20, **settings)

    class Dense(ItemKNN):
        def rank(self, queries: Queries, k: int, *, allow_repeats: bool = False, block: int = 16) -> tuple:
            return blocked_top_k(self.scorer(queries), queries, self.n_items, k, allow_repeats=allow_repeats)

    dense = evaluate(Dense().fit(data), held_out, top=20, **settings)
    np.testing.assert_array_equal(sparse.top, dense.top)
    for key, values in dense.values.items():
        np.testing.assert_array_equal(sparse.values[key], values, err_msg=str(key))


@pytest.mark.parametrize(
    "ranker", [ItemKNN(), ItemKNN(neighbours=20), SessionKNN(), VSKNN()], ids=lambda each: each.name
)
def test_memory_of_an_evaluation_does_not_grow_with_the_catalogue(ranker: SparseRanker, training: Training) -> None:
    def peak(n_items: int) -> float:
        lists = (np.arange(2_000)[:, None] * 10 + np.arange(20)) % n_items + 1
        fit = ranker.fit(training(lists.tolist(), n_items))
        queries = Queries.of(lists[:1000, :5].tolist())
        tracemalloc.start()
        fit.rank(queries, 50)
        found = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        return found

    # dense scores of 1,000 queries for 300,000 tracks would be 1,144 MB
    assert peak(300_000) < peak(20_000) + 32


def test_subclass_that_changes_the_scores_alone_is_ranked_by_them(small: Small) -> None:
    class Reversed(ItemKNN):
        def scorer(self, queries: Queries) -> Scorer:
            scorer = super().scorer(queries)
            return lambda items: -scorer(items)

    data, held_out = small
    ranker, queries = Reversed().fit(data), held_out.queries()
    expected = blocked_top_k(ranker.scorer(queries), queries, 90, 10)
    np.testing.assert_array_equal(ranker.rank(queries, 10)[0], expected[0])
    assert ranker.target_ranks(queries, expected[0][:, 2]).tolist() == [3] * len(queries)


def test_stored_scores_are_bounded_by_the_block(training: Training) -> None:
    lists = np.random.default_rng(0).integers(1, 3_001, (600, 30)).tolist()
    ranker = ItemKNN().fit(training(lists, 3_000))
    queries = Queries.of(lists[:200])
    sizes = [part.nnz for part in ranker.sparse_scores(queries, 50_000)]
    assert sum(sizes) > 400_000 and max(sizes) <= 50_000 and len(sizes) > 8


def test_stacked_blocks_equal_a_transposed_copy(small: Small) -> None:
    plays = small[0].train.matrix()
    whole = by_item(sp.vstack(list(similarities(plays)), format="csr"))
    found = stacked(similarities(plays))
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
        assert getattr(found, name).dtype == getattr(whole, name).dtype
    few = [top_per_row(part, 4) for part in similarities(plays)]
    assert (stacked(few) != sp.vstack(few, format="csr")).nnz == 0

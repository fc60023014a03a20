"""Tests of evaluation on a part of the catalogue against a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.evaluation.fixed_rankers import Fixed, by_id, scattered
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut
from toolkit.evaluation.evaluator import block_sizes, evaluate

METRICS = ["ndcg", "map", "auc", "coverage"]


@pytest.fixture(scope="module")
def cold(corpus_of: Callable[..., Corpus]) -> HeldOut:
    """Return 40 playlists with three seeds in 1…60, two other tracks and 1 to 6 hidden candidates in 61…100."""
    rng = np.random.default_rng(1)
    lists = [
        [*(rng.choice(60, 5, replace=False) + 1), *(rng.choice(40, rng.integers(1, 7), replace=False) + 61)]
        for _ in range(40)
    ]
    corpus = corpus_of(lists, 100)
    starts, ends = corpus.offsets[:-1], corpus.offsets[1:]
    return HeldOut(
        corpus, np.arange(40), starts, starts + 3, ends, hides=starts + 5, candidates=np.arange(61, 101, dtype=np.int32)
    )


def _counts(held_out: HeldOut) -> np.ndarray:
    counts = np.ones(held_out.corpus.n_items + 1, np.int64)
    counts[61:] = 0
    return counts


def test_only_candidates_are_ranked(cold: HeldOut) -> None:
    scores = evaluate(by_id(100), cold, ks=[5], metrics=["recall"], train_counts=_counts(cold), top=5)
    assert scores.top.tolist() == [[61, 62, 63, 64, 65]] * 40


@pytest.mark.parametrize("memory_mb", [1, 16, 256])
def test_candidate_metrics_equal_plain_loop(memory_mb: int, cold: HeldOut) -> None:
    ranker, (hidden, offsets) = scattered(100), cold.hidden()
    found = evaluate(ranker, cold, ks=[7], metrics=METRICS, train_counts=_counts(cold), memory_mb=memory_mb)
    rows = ranker.score(cold.queries(), cold.candidates)
    wanted = [np.isin(cold.candidates, hidden[low:high]) for low, high in pairwise(offsets)]
    np.testing.assert_allclose(
        found.values["all", "auc", 0],
        [roc_auc_score(yes, row) for yes, row in zip(wanted, rows, strict=True)],
        atol=1e-12,
    )
    hits = np.array([yes[np.argsort(-row, kind="stable")][:7] for yes, row in zip(wanted, rows, strict=True)])
    precision = (np.cumsum(hits, axis=1) / np.arange(1, 8) * hits).sum(axis=1) / np.minimum(
        7, [yes.sum() for yes in wanted]
    )
    np.testing.assert_allclose(found.values["all", "map", 7], precision, atol=1e-12)
    assert found.n_hidden["cold"].tolist() == np.diff(offsets).tolist() and not found.n_hidden["warm"].any()
    np.testing.assert_array_equal(found.values["cold", "auc", 0], found.values["all", "auc", 0])
    assert 0 < found.overall["coverage", 7] <= 1


def test_rankings_do_not_depend_on_measuring_auc(cold: HeldOut) -> None:
    settings = {"ks": [7], "train_counts": _counts(cold), "top": 7}
    one, other = (
        evaluate(scattered(100), cold, metrics=metrics, **settings) for metrics in (["ndcg"], ["ndcg", "auc"])
    )
    np.testing.assert_array_equal(one.top, other.top)
    np.testing.assert_array_equal(one.values["all", "ndcg", 7], other.values["all", "ndcg", 7])


def test_auc_over_whole_catalogue_excludes_seeds(cold: HeldOut) -> None:
    whole = replace(cold, candidates=None)
    best_seeds = Fixed(100, lambda sums, items: np.where(items <= 60, 1000 - items, items) + 0 * sums)
    found = evaluate(best_seeds, whole, ks=[5], metrics=["auc"], train_counts=_counts(cold))
    queries, (hidden, offsets) = whole.queries(), whole.hidden()
    for row in range(3):
        seeds, mine = queries.seeds[3 * row : 3 * row + 3], hidden[offsets[row] : offsets[row + 1]]
        items = np.setdiff1d(np.arange(1, 101), seeds)
        expected = roc_auc_score(np.isin(items, mine), np.where(items <= 60, 1000 - items, items))
        assert found.values["all", "auc", 0][row] == pytest.approx(expected)


def test_full_row_blocks_stay_within_memory_limit() -> None:
    rows, block = block_sizes(50_000, 500, 256, whole=True)
    assert rows * (50_000 + 1500) * 24 <= 256 * 2**20 and rows > 100 and block <= 50_000

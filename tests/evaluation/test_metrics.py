"""Tests of metrics against hand-computed values, plain loops, torchmetrics and scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score
from torchmetrics.functional.retrieval import retrieval_normalized_dcg, retrieval_recall

from toolkit.evaluation.metrics import average_precision_at, hits, ndcg_at, recall_at

RANKED = np.array([[3, 1, 4, 2], [9, 8, 7, 6], [5, 2, 0, 0], [1, 2, 3, 4]], np.int32)
HIDDEN = np.array([9, 1, 2, 6, 7, 8, 9, 11, 5], np.int32)
OFFSETS = np.array([0, 3, 8, 9, 9], np.int64)  # {9, 1, 2} · {6, 7, 8, 9, 11} · {5} · nothing
N_HIDDEN = np.diff(OFFSETS)


def test_hits_are_counted_within_each_playlist() -> None:
    expected = [[False, True, False, True], [True, True, True, True], [True, False, False, False], [False] * 4]
    assert hits(RANKED, HIDDEN, OFFSETS).tolist() == expected


def test_padding_is_not_a_hit() -> None:
    assert not hits(np.zeros((2, 3), np.int32), np.array([1, 2]), np.array([0, 1, 2])).any()
    assert hits(np.zeros((2, 0), np.int32), np.array([1, 2]), np.array([0, 1, 2])).shape == (2, 0)
    assert not hits(np.array([[1, 2]]), np.array([], np.int32), np.array([0, 0])).any()


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (1, [0, 1, 1]),
        (2, [1 / 2, 1, 1]),
        (3, [1 / 3, 1, 1]),
        (4, [2 / 3, 1, 1]),
    ],
)
def test_recall_matches_hand_computed_values(k: int, expected: list[float]) -> None:
    found = recall_at(hits(RANKED, HIDDEN, OFFSETS), N_HIDDEN, k)
    assert found[:3].tolist() == pytest.approx(expected)
    assert math.isnan(found[3])


def test_ndcg_matches_hand_computed_values() -> None:
    found = hits(RANKED, HIDDEN, OFFSETS)
    # one hit at rank 2 of 3 hidden: 0.6309 / (1 + 0.6309)
    assert ndcg_at(found, N_HIDDEN, 2)[0] == pytest.approx(0.386853, abs=1e-6)
    # hits at ranks 2 and 4: (0.6309 + 0.4307) / (1 + 0.6309 + 0.5)
    assert ndcg_at(found, N_HIDDEN, 4)[0] == pytest.approx(0.498189, abs=1e-6)
    assert ndcg_at(found, N_HIDDEN, 4)[1:3].tolist() == pytest.approx([1.0, 1.0])
    assert math.isnan(ndcg_at(found, N_HIDDEN, 4)[3])


def test_metrics_with_one_hidden_track_depend_only_on_its_rank() -> None:
    found = hits(np.array([[4, 5, 6]]), np.array([6]), np.array([0, 1]))
    assert [float(ndcg_at(found, np.array([1]), k)[0]) for k in (1, 2, 3)] == pytest.approx([0, 0, 1 / 2])
    assert [float(recall_at(found, np.array([1]), k)[0]) for k in (1, 2, 3)] == [0, 0, 1]


@pytest.mark.parametrize("metric", [average_precision_at, ndcg_at, recall_at])
@pytest.mark.parametrize("k", [0, 5])
def test_cutoff_beyond_ranking_raises(metric: Callable[..., np.ndarray], k: int) -> None:
    with pytest.raises(ValueError, match=f"k={k} must be in 1…4"):
        metric(hits(RANKED, HIDDEN, OFFSETS), N_HIDDEN, k)


@pytest.fixture(scope="module")
def rankings() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return scores float [40, 60] without ties, their ranking, and 1 to 25 hidden tracks per row."""
    generator = np.random.default_rng(11)
    # from 1: torchmetrics takes a score of 0 for not retrieved
    scores = generator.permuted(np.tile(np.arange(1.0, 61), (40, 1)), axis=1)
    ranked = np.argsort(-scores, axis=1).astype(np.int32) + 1
    hidden = [generator.choice(60, size=generator.integers(1, 26), replace=False) + 1 for _ in range(40)]
    return scores, ranked, np.concatenate(hidden), np.concatenate([[0], np.cumsum([len(each) for each in hidden])])


@pytest.mark.parametrize("k", [1, 3, 10, 30, 60])
def test_metrics_equal_plain_loops(k: int, rankings: tuple[np.ndarray, ...]) -> None:
    _, ranked, hidden, offsets = rankings
    found = hits(ranked, hidden, offsets)
    for b in range(40):
        wanted = set(hidden[offsets[b] : offsets[b + 1]].tolist())
        top = ranked[b, :k].tolist()
        gain = sum(1 / math.log2(rank + 1) for rank, item in enumerate(top, start=1) if item in wanted)
        ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(wanted)) + 1))
        assert recall_at(found, np.diff(offsets), k)[b] == pytest.approx(len(wanted & set(top)) / min(k, len(wanted)))
        assert ndcg_at(found, np.diff(offsets), k)[b] == pytest.approx(gain / ideal)


@pytest.mark.parametrize("k", [1, 3, 10, 30, 60])
def test_metrics_equal_independent_libraries(k: int, rankings: tuple[np.ndarray, ...]) -> None:
    scores, ranked, hidden, offsets = rankings
    found, sizes = hits(ranked, hidden, offsets), np.diff(offsets)
    recall, ndcg = recall_at(found, sizes, k), ndcg_at(found, sizes, k)
    compared = 0
    for b in range(40):
        target = np.zeros(60, dtype=int)
        target[hidden[offsets[b] : offsets[b + 1]] - 1] = 1
        preds, truth = torch.tensor(scores[b]), torch.tensor(target)
        assert ndcg[b] == pytest.approx(float(retrieval_normalized_dcg(preds, truth, top_k=k)), abs=1e-6)
        assert ndcg[b] == pytest.approx(ndcg_score(target[None], scores[b][None], k=k), abs=1e-9)
        if sizes[b] <= k:  # theirs divides by |I|, which is min(k, |I|) here
            assert recall[b] == pytest.approx(float(retrieval_recall(preds, truth, top_k=k)), abs=1e-6)
            compared += 1
    assert compared == int((sizes <= k).sum())

from __future__ import annotations

import numpy as np
import pytest

from toolkit.corpus.queries import Queries
from toolkit.topk import blocked_ranks, blocked_top_k


def brute_force(
    scores: np.ndarray, lists: list[list[int]], k: int, allow_repeats: bool
) -> tuple[list[list[int]], list[list[float]]]:
    """Sort every row by (−score, id), where column j is item j + 1."""
    ids, values = [], []
    for row, seeds in zip(scores, lists, strict=True):
        able = [
            (-value, item)
            for item, value in enumerate(row.tolist(), start=1)
            if value > -np.inf and (allow_repeats or item not in seeds)
        ]
        best = sorted(able)[:k]
        ids.append([item for _, item in best] + [0] * (k - len(best)))
        values.append([-value for value, _ in best] + [-np.inf] * (k - len(best)))
    return ids, values


@pytest.mark.parametrize("seed", range(40))
def test_top_k_equals_brute_force(seed: int) -> None:
    draw = np.random.default_rng(seed)
    n_items, rows, k = int(draw.integers(1, 40)), int(draw.integers(1, 6)), int(draw.integers(1, 50))
    # few distinct values: ties everywhere, also across blocks
    scores = draw.integers(-2, 3, (rows, n_items)).astype(np.float32)
    scores[draw.random(scores.shape) < 0.1] = -np.inf
    scores[draw.random(scores.shape) < 0.05] = np.nan
    lists = [draw.integers(1, n_items + 1, draw.integers(0, 6)).tolist() for _ in range(rows)]
    repeats = bool(seed % 2)

    ids, values = blocked_top_k(
        lambda items: scores[:, items - 1],
        Queries.of(lists),
        n_items,
        k,
        allow_repeats=repeats,
        block=int(draw.integers(1, 20)),
    )

    assert (ids.tolist(), values.tolist()) == brute_force(scores, lists, k, repeats)
    assert (ids.dtype, values.dtype) == (np.int32, np.float32)


def test_top_k_does_not_modify_scores() -> None:
    scores = np.arange(4, dtype=np.float32)[None]

    blocked_top_k(lambda items: scores, Queries.of([[2]]), 4, 2)

    assert scores.tolist() == [[0, 1, 2, 3]]


def test_top_k_computes_scores_in_blocks() -> None:
    scored: list[list[int]] = []

    def scorer(items: np.ndarray) -> np.ndarray:
        scored.append(items.tolist())
        return -items[None].astype(np.float32)

    ids, _ = blocked_top_k(scorer, Queries.of([[1]]), 7, 2, block=3)

    assert scored == [[1, 2, 3], [4, 5, 6], [7]]
    assert ids.tolist() == [[2, 3]]


@pytest.mark.parametrize("seed", range(40))
def test_target_rank_equals_rank_in_ranking(seed: int) -> None:
    draw = np.random.default_rng(seed)
    n_items, rows, block = int(draw.integers(1, 40)), int(draw.integers(0, 7)), int(draw.integers(1, 20))
    scores = draw.integers(-2, 3, (rows, n_items)).astype(np.float32)
    scores[draw.random(scores.shape) < 0.1] = -np.inf
    queries = Queries.of([draw.integers(1, n_items + 1, draw.integers(0, 6)).tolist() for _ in range(rows)])
    targets, repeats = draw.integers(1, n_items + 1, rows), bool(seed % 2)

    def scorer(items: np.ndarray) -> np.ndarray:
        return scores[:, items - 1]

    places = blocked_ranks(scorer, queries, targets, n_items, allow_repeats=repeats, block=block)

    ranked, _ = blocked_top_k(scorer, queries, n_items, n_items, allow_repeats=repeats, block=block)
    expected = [
        list(row).index(target) + 1 if target in row else 0 for row, target in zip(ranked, targets, strict=True)
    ]
    assert places.tolist() == expected


def test_target_rank_uses_score_of_block() -> None:
    """Scores of a single item may be rounded differently from scores in a block."""

    def scorer(items: np.ndarray) -> np.ndarray:
        exact = np.float32([5, 4, 4, 4, 1])[items - 1]
        return (exact if len(items) > 1 else np.nextafter(exact, np.float32(9)))[None]

    queries, target = Queries.of([[]]), np.array([3])
    assert blocked_ranks(scorer, queries, target, 5, block=5).tolist() == [3]
    assert blocked_top_k(scorer, queries, 5, 5, block=5)[0].tolist() == [[1, 2, 3, 4, 5]]

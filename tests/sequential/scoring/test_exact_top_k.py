"""Tests of exact top k from a rough product and a bound, against sorting of exact scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit.sequential.scoring import exact_top_k as nearest
from toolkit.sequential.scoring.exact_ranks import exact_ranks
from toolkit.sequential.scoring.exact_top_k import exact_top_k, exact_top_ranks

NOBODY = (torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
BOTH = pytest.mark.parametrize("compute", [torch.float32, torch.bfloat16])


def slow(
    scores: np.ndarray, items: np.ndarray, lists: list[list[int]], k: int
) -> tuple[list[list[int]], list[list[float]]]:
    """Sort the items of each row by (−score, id), padded with 0 and -inf; scores [B, V + 1]."""
    ids, values = [], []
    for row, seeds in zip(scores, lists, strict=True):
        order = sorted((-row[item], item) for item in items if item not in seeds)[:k]
        ids.append([int(item) for _, item in order] + [0] * (k - len(order)))
        values.append([float(-score) for score, _ in order] + [-np.inf] * (k - len(order)))
    return ids, values


def pairs(lists: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    found = torch.tensor(
        [(row, item) for row, tracks in enumerate(lists) for item in tracks], dtype=torch.int64
    ).reshape(-1, 2)
    return found[:, 0], found[:, 1]


@BOTH
@pytest.mark.parametrize("seed", range(60))
def test_exact_top_k_equals_sorting(seed: int, compute: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small integers are exact in float32, often tied, negative, and too fine for bfloat16 with an offset."""
    draw = np.random.default_rng(seed)
    count, rows, dim = int(draw.integers(1, 700)), int(draw.integers(1, 7)), int(draw.integers(1, 5))
    k = int(draw.integers(1, count + 3)) if seed % 2 else int(draw.integers(1, 4))
    query, table = (
        draw.integers(-3, 4, (rows, dim)).astype(np.float32),
        draw.integers(-3, 4, (count + 1, dim)).astype(np.float32),
    )
    table[:, 0] += 1000 * (seed % 3)
    items = np.flatnonzero(draw.random(count + 1) < 0.8) if seed % 4 else np.arange(1, count + 1)
    lists = [np.unique(draw.integers(1, count + 1, draw.integers(0, 6))).tolist() for _ in range(rows)]
    # parts of one group: at the usual size these tables are one part
    monkeypatch.setitem(nearest.SCORES, "cpu", 1)

    scores, ids = exact_top_k(
        torch.from_numpy(query),
        torch.from_numpy(table).__getitem__,
        torch.from_numpy(items),
        pairs(lists),
        k,
        block=int(draw.integers(1, 200)),
        compute=compute,
    )

    wanted, values = slow(query @ table.T, items, lists, k)
    assert ids.tolist() == wanted
    assert scores.tolist() == values


@BOTH
@pytest.mark.parametrize("block", [1000, 16_384])
def test_exact_top_k_does_not_depend_on_item_order(block: int, compute: torch.dtype) -> None:
    """The best items are first, last or anywhere, for tight and loose bounds, with far more items than the sample."""
    generator = torch.Generator().manual_seed(block)
    query, table = torch.randn(9, 16, generator=generator), torch.randn(20_001, 16, generator=generator)
    by_first = (table @ query[0]).argsort()
    for order in (torch.arange(20_001), by_first, by_first.flip(0)):
        rows = table[order]
        exact = query.double() @ rows.double().T
        exact[:, 0] = -torch.inf
        scores, ids = exact_top_k(
            query, rows.__getitem__, torch.arange(1, 20_001), NOBODY, 10, block=block, compute=compute
        )
        assert torch.equal(ids, exact.argsort(1, descending=True)[:, :10])
        assert torch.allclose(scores.double(), exact.gather(1, ids), rtol=1e-6, atol=1e-5)


@BOTH
@pytest.mark.parametrize("seed", range(60))
def test_exact_top_ranks_equal_exact_ranks(seed: int, compute: torch.dtype) -> None:
    """Includes ties, targets that are seeds or not ranked, limits beyond the last item, and targets above the limit."""
    draw = np.random.default_rng(seed)
    count, rows, dim = int(draw.integers(1, 700)), int(draw.integers(1, 30)), int(draw.integers(1, 5))
    query, table = (
        draw.integers(-3, 4, (rows, dim)).astype(np.float32),
        draw.integers(-3, 4, (count + 1, dim)).astype(np.float32),
    )
    table[:, 0] += 1000 * (seed % 3)
    items = np.flatnonzero(draw.random(count + 1) < 0.8) if seed % 4 else np.arange(1, count + 1)
    seeds = pairs([np.unique(draw.integers(1, count + 1, draw.integers(0, 6))).tolist() for _ in range(rows)])
    targets, limit = draw.integers(1, count + 1, rows), int(draw.integers(1, count + 20 if seed % 2 else 20))
    given = (
        torch.from_numpy(query),
        torch.from_numpy(table).__getitem__,
        torch.from_numpy(items),
        torch.from_numpy(targets),
        seeds,
    )
    if not len(items):
        assert exact_top_ranks(*given, limit, compute=compute).tolist() == [0] * rows
        return

    found = exact_top_ranks(*given, limit, block=int(draw.integers(1, 200)), compute=compute)

    wanted = exact_ranks(*given, limit=limit)
    assert torch.equal(found, wanted)


@BOTH
def test_exact_top_ranks_equal_exact_ranks_for_many_items(compute: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    query, table = torch.randn(40, 16, generator=generator), torch.randn(50_001, 16, generator=generator)
    wanted = torch.randint(1, 200, (40,), generator=generator)
    order = (query.double() @ table[1:].double().T).argsort(1, descending=True) + 1
    targets = order[torch.arange(40), wanted - 1]
    found = exact_top_ranks(query, table.__getitem__, torch.arange(1, 50_001), targets, NOBODY, 100, compute=compute)
    assert torch.equal(found, torch.where(wanted > 100, 0, wanted))


@BOTH
def test_exact_top_k_of_negative_scores_and_zero_query(compute: torch.dtype) -> None:
    table = -1 - torch.arange(5000.0)[:, None] / 7
    query = torch.tensor([[1.0], [0.0], [-1.0]])
    scores, ids = exact_top_k(query, table.__getitem__, torch.arange(5000), NOBODY, 4, block=512, compute=compute)
    assert ids.tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [4999, 4998, 4997, 4996]]
    assert torch.equal(scores, (query @ table.T).gather(1, ids))


@BOTH
def test_exact_top_k_is_exact_if_the_sample_contains_the_best(
    compute: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The likely bound is then too high, and a query is searched again with the certain bound."""
    asked = []
    above = nearest._top_k_above
    monkeypatch.setattr(nearest, "_top_k_above", lambda floor, *more: asked.append(len(floor)) or above(floor, *more))
    count, k, generator = 70_000, 10, torch.Generator().manual_seed(0)
    table = torch.rand(count, 2, generator=generator)
    table[:: 64 * 90, 0] += torch.arange(1, 14)  # places that the sample takes, in groups of their own
    query = torch.eye(2)
    seeds = torch.tensor([0, 1]), torch.tensor([64 * 90, 5])
    scores, ids = exact_top_k(query, table.__getitem__, torch.arange(count), seeds, k, compute=compute)
    assert asked == [2, 1]
    every = query @ table.T
    every[seeds] = -np.inf
    wanted = every.topk(k)
    assert torch.equal(scores, wanted.values) and torch.equal(ids, wanted.indices)


def test_exact_top_k_recomputes_at_most_1_percent_of_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 200,000 scores a query at most one in a hundred is recomputed in float32."""
    seen = []
    scored = nearest.pair_scores
    monkeypatch.setattr(nearest, "pair_scores", lambda *given: seen.append(len(given[2])) or scored(*given))
    generator = torch.Generator().manual_seed(0)
    query, table = torch.randn(8, 32, generator=generator), torch.randn(200_000, 32, generator=generator)
    exact_top_k(query, table.__getitem__, torch.arange(200_000), NOBODY, 100, compute=torch.bfloat16)
    assert sum(seen) <= 8 * 200_000 / 100


@pytest.mark.parametrize(("rows", "items"), [(0, 5), (3, 0)])
def test_exact_top_k_without_queries_or_items_returns_empty_results(rows: int, items: int) -> None:
    table = torch.ones(9, 2)
    scores, ids = exact_top_k(torch.ones(rows, 2), table.__getitem__, torch.arange(items), NOBODY, 4)
    assert ids.tolist() == [[0] * 4] * rows
    assert scores.tolist() == [[-np.inf] * 4] * rows


@pytest.mark.gpu
def test_exact_top_k_on_gpu_equals_cpu() -> None:
    generator = torch.Generator().manual_seed(0)
    query, table = torch.randn(70, 64, generator=generator), torch.randn(90_001, 64, generator=generator)
    seeds = torch.arange(70), torch.arange(1, 71)
    here = exact_top_k(query, table.__getitem__, torch.arange(1, 90_001), seeds, 100)
    there = [each.cuda() for each in seeds]
    scores, ids = exact_top_k(
        query.cuda(),
        table.cuda().__getitem__,
        torch.arange(1, 90_001).cuda(),
        (there[0], there[1]),
        100,
        compute=torch.bfloat16,
    )
    assert (ids.cpu() == here[1]).float().mean() > 0.999
    assert torch.allclose(scores.cpu(), here[0], rtol=1e-5, atol=1e-4)

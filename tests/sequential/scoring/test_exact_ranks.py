"""Tests of exact ranks from a rough product, against sorting of exact scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit.sequential.scoring.exact_ranks import exact_ranks


def slow(
    scores: np.ndarray, targets: list[int], items: list[int], lists: list[list[int]], limit: int | None
) -> list[int]:
    """Sort the items of each row by (−score, id); scores [B, V + 1]."""
    places = []
    for row, target, seeds in zip(scores, targets, lists, strict=True):
        order = sorted((-row[item], item) for item in items if item not in seeds)
        place = [item for _, item in order].index(target) + 1 if target in items and target not in seeds else 0
        places.append(0 if limit is not None and place > limit else place)
    return places


@pytest.mark.parametrize("compute", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("seed", range(30))
def test_exact_ranks_equal_sorting(seed: int, compute: torch.dtype) -> None:
    """Small integers are exact in float32, often tied, and too fine for bfloat16 with an added offset."""
    draw = np.random.default_rng(seed)
    count, rows, dim = int(draw.integers(2, 60)), int(draw.integers(1, 7)), int(draw.integers(1, 5))
    query, table = (
        draw.integers(-3, 4, (rows, dim)).astype(np.float32),
        draw.integers(-3, 4, (count + 1, dim)).astype(np.float32),
    )
    if seed % 3:
        table[:, 0] += 1000
    items = np.flatnonzero(draw.random(count + 1) < 0.8)
    items = items[items > 0] if (items > 0).any() else np.array([1])
    lists = [np.unique(draw.integers(1, count + 1, draw.integers(0, 6))).tolist() for _ in range(rows)]
    targets = draw.integers(1, count + 1, rows)
    limit = None if seed % 2 else int(draw.integers(1, 12))
    seeds = [(row, item) for row, tracks in enumerate(lists) for item in tracks]
    pairs = torch.tensor(seeds, dtype=torch.int64).reshape(-1, 2).T

    found = exact_ranks(
        torch.from_numpy(query),
        torch.from_numpy(table).__getitem__,
        torch.from_numpy(items),
        torch.from_numpy(targets),
        (pairs[0], pairs[1]),
        limit=limit,
        block=int(draw.integers(1, 20)),
        compute=compute,
    )

    assert found.tolist() == slow(query @ table.T, targets.tolist(), items.tolist(), lists, limit)


def test_exact_ranks_are_exact_where_bfloat16_scores_are_tied() -> None:
    """The scores 1000 … 1019 are only four different numbers in bfloat16."""
    table = torch.arange(999.0, 1020.0)[:, None]
    nobody = torch.zeros(0, dtype=torch.int64)
    targets = torch.arange(1, 21)
    assert len(table.bfloat16().unique()) < 10
    found = exact_ranks(
        torch.ones(20, 1), table.__getitem__, torch.arange(1, 21), targets, (nobody, nobody), compute=torch.bfloat16
    )
    assert found.tolist() == list(range(20, 0, -1))


@pytest.mark.parametrize("seed", range(3))
def test_exact_ranks_do_not_depend_on_block_size_and_precision(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    query, table = torch.randn(20, 16, generator=generator), torch.randn(3001, 16, generator=generator)
    nobody = torch.zeros(0, dtype=torch.int64)
    wanted = torch.randint(1, 400, (20,), generator=generator)
    order = (query.double() @ table[1:].double().T).argsort(1, descending=True) + 1
    targets = order[torch.arange(20), wanted - 1]
    for compute in (torch.float32, torch.bfloat16):
        for block, limit in ((64, None), (1000, 200), (5000, 200)):
            found = exact_ranks(
                query,
                table.__getitem__,
                torch.arange(1, 3001),
                targets,
                (nobody, nobody),
                limit=limit,
                block=block,
                compute=compute,
            )
            assert torch.equal(found, wanted if limit is None else torch.where(wanted > limit, 0, wanted))

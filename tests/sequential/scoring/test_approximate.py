"""Tests of the optional approximate index against the exact ranking, skipped without faiss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.sequential.small_models import fusion, ring, spec
from toolkit.corpus.queries import Queries
from toolkit.errors import InputError
from toolkit.sequential.scoring.approximate_index import ApproximateIndex
from toolkit.sequential.scoring.exact_top_k import exact_top_k
from toolkit.sequential.sequential_ranker import SequentialRanker

pytest.importorskip("faiss", reason="faiss is missing: pip install 'segue[ann]'")
DATA, VALID = ring()


def clustered(count: int, generator: torch.Generator) -> torch.Tensor:
    centres = torch.randn(50, 16, generator=generator)
    return centres[torch.randint(50, (count,), generator=generator)] + 0.3 * torch.randn(count, 16, generator=generator)


def test_approximate_index_returns_nearly_all_top_k_without_seeds() -> None:
    generator = torch.Generator().manual_seed(0)
    table, query = clustered(20_001, generator), clustered(30, generator)
    items = torch.arange(1, 20_001)
    index = ApproximateIndex(table.__getitem__, items, probes=32)
    nobody = torch.zeros(0, dtype=torch.int64)
    _, first = exact_top_k(query, table.__getitem__, items, (nobody, nobody), 3)
    seeds = torch.arange(30).repeat_interleave(3), first.flatten()

    wanted_scores, wanted = exact_top_k(query, table.__getitem__, items, seeds, 50)
    scores, ids = index.top_k(query, table.__getitem__, seeds, 50)

    shared = [len(set(a) & set(b)) for a, b in zip(ids.tolist(), wanted.tolist(), strict=True)]
    assert np.mean(shared) / 50 >= 0.95
    assert not (ids[:, :, None] == first[:, None]).any()
    assert torch.equal(scores, (query[:, None] * table[ids]).sum(2))
    assert (scores.diff() <= 0).all()
    assert torch.allclose(scores[:, 0], wanted_scores[:, 0])


def test_approximate_index_with_all_cells_equals_exact_top_k() -> None:
    table = torch.arange(12.0).repeat(2, 1).T.contiguous()
    index = ApproximateIndex(table.__getitem__, torch.arange(1, 12))
    scores, ids = index.top_k(torch.ones(1, 2), table.__getitem__, (torch.tensor([0]), torch.tensor([11])), 12)
    assert ids.tolist() == [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]]
    assert scores[0, :2].tolist() == [20, 18] and scores[0, 10:].tolist() == [-np.inf] * 2


def test_rank_uses_approximate_index_until_the_next_fit() -> None:
    ranker = SequentialRanker(spec(), fusion()).fit(DATA)
    exact = ranker.rank(VALID.queries(), 5)
    index = ranker.approximate(probes=4096)
    assert index.index.ntotal == DATA.n_items
    ids, scores = ranker.rank(VALID.queries(), 5)
    assert (ids == exact[0]).mean() > 0.9
    assert np.allclose(scores, exact[1], atol=1e-3)
    ranker.fit(replace(DATA, modalities={}))
    assert ranker._index is None


@pytest.mark.parametrize(("probes", "items"), [(0, 5), (1, 0)])
def test_approximate_index_without_probes_or_items_raises(probes: int, items: int) -> None:
    with pytest.raises(InputError, match=rf"probes={probes} and the number of items {items} must be at least 1"):
        ApproximateIndex(torch.ones(9, 2).__getitem__, torch.arange(items), probes=probes)


def test_approximate_raises_for_a_model_with_neighbours() -> None:
    ranker = SequentialRanker(spec(neighbours=5), fusion()).fit(DATA)
    assert ranker.neighbours is not None
    ranker.neighbours = replace(ranker.neighbours, weight=1.0)
    with pytest.raises(InputError, match="neighbours: 0"):
        ranker.approximate()
    assert len(ranker.rank(Queries.of([[1]]), 3)[0][0]) == 3

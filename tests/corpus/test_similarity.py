"""Tests of cosine co-occurrence similarity, compared with a slow loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp

from toolkit.corpus import item_similarity
from toolkit.corpus.block_ranges import blocks_of
from toolkit.corpus.item_similarity import similarities, top_per_row
from toolkit.corpus.queries import Queries

LISTS = [[1, 2, 3], [2, 3], [3, 4, 1], [5], [2, 3, 5, 4]]


@pytest.mark.parametrize("shrink", [0.0, 2.0])
@pytest.mark.parametrize("entries", [1, 8, 8_000_000])
def test_similarities_equal_a_slow_loop(shrink: float, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_similarity, "BLOCK_ENTRIES", entries)
    found = sp.vstack(list(similarities(Queries.of(LISTS).matrix(6), shrink))).toarray()
    assert found.shape == (7, 7)
    for i in range(7):
        for j in range(7):
            mine, others = ({row for row, tracks in enumerate(LISTS) if item in tracks} for item in (i, j))
            wanted = (
                len(mine & others) / (math.sqrt(len(mine) * len(others)) + shrink) if mine & others and i != j else 0.0
            )
            assert found[i, j] == pytest.approx(wanted, abs=1e-7)


def test_top_per_row_keeps_the_largest_values_and_breaks_ties_by_index() -> None:
    matrix = sp.csr_matrix(np.array([[3, 1, 3, 2], [0, 0, 0, 0], [0, 5, 0, 0], [1, 2, 3, 4]], np.float32))
    assert top_per_row(matrix, 2).toarray().tolist() == [[3, 0, 3, 0], [0, 0, 0, 0], [0, 5, 0, 0], [0, 0, 3, 4]]
    assert top_per_row(matrix, 4) is matrix


def test_blocks_cover_all_rows_within_the_budget() -> None:
    assert list(blocks_of(np.array([3, 3, 9, 1, 1, 1]), 4)) == [(0, 1), (1, 2), (2, 3), (3, 6)]
    assert list(blocks_of(np.array([]), 4)) == []

"""Tests of the row solver against dense least squares."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from segue_papers.rankers import row_solver
from segue_papers.rankers.row_solver import solve_rows


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("block", [1, 2**23])
def test_solved_rows_equal_dense_least_squares(implicit: bool, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_solver, "BLOCK", block)
    rng = np.random.default_rng(1)
    fixed, prior, added = rng.normal(size=(20, 4)), rng.normal(size=(30, 4)), rng.normal(size=(30, 4))
    stored = rng.random((30, 20)) < 0.2
    stored[5] = False
    targets = sp.csr_matrix(np.where(stored, 1 + rng.random((30, 20)), 0))
    weights = 1 + 5 * rng.random(targets.nnz)
    own, columns = (rng.random(30), rng.random(20)) if implicit else (np.zeros(30), np.ones(20))
    found = solve_rows(
        fixed, targets, ridge=0.7, weights=weights, rows_weight=own, columns_weight=columns, prior=prior, added=added
    )
    every = own[:, None] * columns
    every[stored] = weights  # csr keeps the order of rows, then columns
    wanted = targets.toarray()
    for row in range(30):
        left = (fixed * every[row][:, None]).T @ fixed + 0.7 * np.eye(4)
        right = fixed.T @ (every[row] * wanted[row]) + 0.7 * prior[row] + added[row]
        assert np.allclose(found[row], np.linalg.solve(left, right))


def test_row_without_pairs_equals_its_prior() -> None:
    fixed = np.random.default_rng(0).normal(size=(6, 3))
    assert np.allclose(solve_rows(fixed, sp.csr_matrix((2, 6)), ridge=1.0, prior=np.arange(3.0)), np.arange(3.0))

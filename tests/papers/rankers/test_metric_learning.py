"""Tests of metric learning to rank, with a handwritten case, its gradient and a planted metric."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from segue_papers.rankers.metric_learning import learn_metric, objective


def relevant(*pairs: tuple[int, int], n: int) -> sp.csr_matrix:
    rows, columns = zip(*pairs, strict=True)
    return sp.csr_matrix((np.ones(len(rows), bool), (rows, columns)), (n, n))


HAND = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
"""One query at the origin; its relevant row lies along the first axis, the other along the second."""
ONE = relevant((0, 1), n=3)


def slow(w: np.ndarray, rows: np.ndarray, near: np.ndarray, c: float) -> float:
    """Return the objective computed pair by pair."""
    losses = []
    for q in range(len(rows)):
        i_s, j_s = np.flatnonzero(near[q]), [j for j in range(len(rows)) if j != q and not near[q, j]]
        if len(i_s):
            size = [(rows[q] - r) @ w @ (rows[q] - r) for r in rows]
            losses.append(np.mean([max(0.0, 1 - 2 * (size[j] - size[i])) for i in i_s for j in j_s]))
    return float(np.trace(w) + c * np.mean(losses))


def test_learned_metric_equals_a_case_by_hand() -> None:
    # W = diag(a, b): a + b + C · max(0, 1 − 2 (b − a)), least at a = 0, b = 1/2 if C > 1/2, and at 0 if C < 1/2
    assert objective(np.zeros((2, 2)), HAND, ONE, c=3.0)[0] == pytest.approx(3.0)
    assert objective(np.diag([0.25, 0.5]), HAND, ONE, c=3.0)[0] == pytest.approx(0.75 + 3 * 0.5)
    assert objective(np.diag([0.0, 0.5]), HAND, ONE, c=3.0)[0] == pytest.approx(0.5)
    assert np.allclose(learn_metric(HAND, ONE, c=3.0, steps=2000), np.diag([0.0, 0.5]), atol=0.02)
    assert np.array_equal(learn_metric(HAND, ONE, c=0.4, steps=50), np.zeros((2, 2)))


def test_objective_and_subgradient_equal_sums_over_all_pairs() -> None:
    rng = np.random.default_rng(2)
    rows, near = rng.normal(size=(12, 4)), rng.random((12, 12)) < 0.3
    np.fill_diagonal(near, False)
    near[3] = False  # a query without a relevant row
    half = rng.normal(size=(4, 4)) / 3
    w = half @ half.T
    value, slope = objective(w, rows, sp.csr_matrix(near), c=5.0)
    assert value == pytest.approx(slow(w, rows, near, 5.0), rel=1e-10)
    for _ in range(3):
        way = rng.normal(size=(4, 4))
        step = 1e-6 * (way + way.T)
        risen = slow(w + step, rows, near, 5.0) - slow(w - step, rows, near, 5.0)
        assert risen == pytest.approx(2 * float((slope * step).sum()), rel=1e-4)


def test_learned_metric_weights_the_informative_axis() -> None:
    rng = np.random.default_rng(4)
    kind = np.repeat([0, 1, 2], 20)
    rows = rng.normal(size=(60, 6))
    rows[:, 2] = kind + 0.2 * rng.normal(size=60)
    near = (kind[:, None] == kind) & ~np.eye(60, dtype=bool)
    w = learn_metric(rows, sp.csr_matrix(near), c=100.0, steps=150)
    assert np.linalg.eigvalsh(w).min() > -1e-9
    assert w[2, 2] > 5 * np.delete(np.diag(w), 2).max()

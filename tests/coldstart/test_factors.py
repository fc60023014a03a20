"""Tests of factors against a dense float64 closed form of the published objective."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from tests.coldstart.conftest import corpus_of
from toolkit.coldstart import factorisation as module
from toolkit.coldstart.factorisation import Factors, FactorStore, FoldIn, factorise
from toolkit.corpus.splits import PlaylistSet
from toolkit.errors import InputError
from toolkit.recipe import FactorSpec

SPEC = FactorSpec(k=4, alpha=1.5, epsilon=0.2, iterations=60, regularisation=0.7, solver="cholesky", device="cpu")


@pytest.fixture(scope="module")
def plays() -> sp.csr_matrix:
    """Return play counts of 30 users for 20 items and padding. Item 20 has no plays, and user 5 has none."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.4, (30, 21)) * rng.integers(1, 30, (30, 21))
    counts[:, [0, 20]], counts[5] = 0, 0
    return sp.csr_matrix(counts.astype(np.float32))


@pytest.fixture(scope="module")
def found(plays: sp.csr_matrix) -> Factors:
    return factorise(plays, SPEC, seed=1)


def _closed_form(others: np.ndarray, plays: np.ndarray) -> np.ndarray:
    """Return the rows that minimise the objective with the other side fixed: (YᵀCY + λI)⁻¹ YᵀCp."""
    solved = []
    for row in plays:
        confidence = np.where(row > 0, 1 + SPEC.alpha * np.log(1 + row / SPEC.epsilon), 1.0)
        gram = others.T @ (confidence[:, None] * others) + SPEC.regularisation * np.eye(others.shape[1])
        solved.append(np.linalg.solve(gram, others.T @ (confidence * (row > 0))))
    return np.array(solved)


def _objective(users: np.ndarray, items: np.ndarray, plays: np.ndarray) -> float:
    confidence = np.where(plays > 0, 1 + SPEC.alpha * np.log(1 + plays / SPEC.epsilon), 1.0)
    fit = (confidence * ((plays > 0) - users @ items.T) ** 2).sum()
    return float(fit + SPEC.regularisation * ((users**2).sum() + (items**2).sum()))


def test_item_factors_equal_the_closed_form(plays: sp.csr_matrix, found: Factors) -> None:
    dense = plays.toarray().astype(np.float64)
    np.testing.assert_allclose(found.items, _closed_form(found.users.astype(np.float64), dense.T), atol=2e-5)
    assert (
        found.users.shape == (30, 4)
        and found.items.shape == (21, 4)
        and found.users.dtype == found.items.dtype == np.float32
    )


def test_factors_equal_dense_factorisation_from_another_start(plays: sp.csr_matrix, found: Factors) -> None:
    dense = plays.toarray().astype(np.float64)
    items = np.random.default_rng(5).normal(0, 0.3, (21, 4))
    for _ in range(60):
        users = _closed_form(items, dense)
        items = _closed_form(users, dense.T)
    reached = _objective(found.users.astype(np.float64), found.items.astype(np.float64), dense)
    assert reached == pytest.approx(_objective(users, items, dense), rel=1e-3)


def test_conjugate_gradient_factors_equal_exact_factors(plays: sp.csr_matrix, found: Factors) -> None:
    dense = plays.toarray().astype(np.float64)
    quick = factorise(plays, SPEC.model_copy(update={"solver": "conjugate-gradient"}), seed=1)
    mine, exact = (_objective(f.users.astype(np.float64), f.items.astype(np.float64), dense) for f in (quick, found))
    assert mine == pytest.approx(exact, rel=1e-2)


def test_items_without_feedback_have_zero_factors(plays: sp.csr_matrix) -> None:
    quick = factorise(plays, SPEC.model_copy(update={"solver": "conjugate-gradient", "iterations": 2}), seed=1)
    assert quick.known.tolist() == [False, *[True] * 19, False]
    assert not quick.items[[0, 20]].any()


def test_fold_in_equals_closed_form(plays: sp.csr_matrix, found: Factors) -> None:
    users, met = FoldIn(found.items, found.known, found.spec)(plays)
    expected = _closed_form(found.items.astype(np.float64), plays.toarray().astype(np.float64))
    np.testing.assert_allclose(users, expected, atol=2e-5)
    assert met.tolist() == [row != 5 for row in range(30)] and not users[5].any()


def test_fold_in_ignores_plays_of_unknown_items(found: Factors) -> None:
    with_it, without = (
        sp.csr_matrix(([2.0] * len(c), ([0] * len(c), c)), (1, 21), dtype=np.float32) for c in ([3, 20], [3])
    )
    np.testing.assert_array_equal(
        FoldIn(found.items, found.known, found.spec)(with_it)[0],
        FoldIn(found.items, found.known, found.spec)(without)[0],
    )
    alone = sp.csr_matrix(([2.0], ([0], [20])), (1, 21), dtype=np.float32)
    assert FoldIn(found.items, found.known, found.spec)(alone)[1].tolist() == [False]


def test_factorise_without_feedback_raises_input_error() -> None:
    with pytest.raises(InputError, match="the training split has 0 playlist entries"):
        factorise(sp.csr_matrix((3, 5), dtype=np.float32), SPEC)


def test_repeated_tracks_are_counted_in_feedback() -> None:
    corpus = corpus_of([[1, 2, 1], [2, 3]], 3, [[5, 1, 2], [4, 1]])
    whole = PlaylistSet(corpus, np.arange(2), corpus.offsets[:-1], corpus.offsets[1:])
    assert whole.plays().toarray().tolist() == [[0, 7, 1, 0], [0, 0, 4, 1]]
    assert whole.matrix().toarray().tolist() == [[0, 1, 1, 0], [0, 0, 1, 1]]


def test_factor_store_factorises_once_and_returns_cached_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(module, "factorise", lambda *args, **settings: made.append(1) or factorise(*args, **settings))
    corpus = corpus_of([[1, 2, 3], [2, 3, 4], [1, 4]], 5)
    whole = PlaylistSet(corpus, np.arange(3), corpus.offsets[:-1], corpus.offsets[1:])
    spec = FactorSpec(k=2, iterations=3)
    store = FactorStore(whole, spec, cache=tmp_path)
    first = store()
    assert store() is first and store(spec) is first and len(made) == 1
    again = FactorStore(whole, spec, cache=tmp_path)()
    assert len(made) == 1
    for name in ("users", "items", "known"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    assert FactorStore(whole, spec, cache=tmp_path)(FactorSpec(k=3)).k == 3 and len(made) == 2
    part = PlaylistSet(corpus, np.arange(2), corpus.offsets[:2], corpus.offsets[1:3])
    assert not FactorStore(part, spec, cache=tmp_path)().known[5] and len(made) == 3

"""Tests of the hybrid objectives against dense objectives and gradients in float64."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from segue_papers.rankers.content_prior import fit_content_prior
from segue_papers.rankers.hierarchical import Taste, Weights, error, fit_taste, fold_in

WEIGHTS = Weights(ridge=0.8, factor_ridge=1.7, negatives=1.5)


def feedback(users: int = 30, tracks: int = 25) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return interactions [users, tracks + 1] of two groups, and a mask of the known tracks."""
    rng = np.random.default_rng(3)
    kind = np.arange(tracks + 1) % 2
    likes = np.where(kind[None, :] == (np.arange(users) % 2)[:, None], 0.6, 0.08)
    plays = rng.random((users, tracks + 1)) < likes
    plays[:, [0, tracks - 1, tracks]] = False
    return sp.csr_matrix(plays.astype(np.float32)), plays.any(axis=0)


def dense(plays: sp.csr_matrix, known: np.ndarray, users: np.ndarray, taste: Taste, scale: float, k: int) -> float:
    """Return the objective over all pairs, with factors in their own scale."""
    played = plays.toarray() > 0
    absent = WEIGHTS.negatives * played.sum(axis=1) / (known.sum() - played.sum(axis=1))
    mass = np.where(played, 1.0, absent[:, None]) * known
    d = len(taste.prior) - k
    fit = (mass * np.square(played - users @ taste.items.T)).sum()
    about = WEIGHTS.ridge * np.square(users - taste.prior).sum()
    return float(fit + about + WEIGHTS.factor_ridge * np.square(taste.items[:, d:] * scale).sum())


def slope(function, at: np.ndarray) -> np.ndarray:
    """Return the gradient from central differences."""
    out = np.zeros(at.shape)
    for place in np.ndindex(at.shape):
        step = np.zeros(at.shape)
        step[place] = 1e-5
        out[place] = (function(at + step) - function(at - step)) / 2e-5
    return out


def test_hierarchical_model_converges_to_zero_gradient() -> None:
    plays, known = feedback()
    content = np.concatenate([np.random.default_rng(0).normal(size=(len(known), 3)), np.ones((len(known), 1))], axis=1)
    taste = fit_taste(plays, content, known, WEIGHTS, k=2, iterations=400, seed=0)
    scale = np.sqrt(WEIGHTS.factor_ridge / WEIGHTS.ridge)
    users = fold_in(plays, taste, known, WEIGHTS)
    assert np.abs(slope(lambda at: dense(plays, known, at, taste, scale, 2), users)).max() < 1e-5
    # the items were solved for users of one step before: at the end of many steps they are those of these users
    factors = taste.items[:, 4:].copy()
    by_items = slope(
        lambda at: dense(plays, known, users, Taste(np.hstack([content, at]), taste.prior), scale, 2), factors
    )
    assert np.abs(by_items).max() < 1e-3
    assert np.allclose(taste.prior[:4], users[:, :4].mean(axis=0), atol=1e-4)
    assert not taste.items[~known, 4:].any()


def test_rmse_equals_the_sum_over_all_pairs() -> None:
    plays, known = feedback()
    none = np.ones((len(known), 1))
    found = {k: fit_taste(plays, none, known, WEIGHTS, k=k, iterations=30, seed=0) for k in (0, 2)}
    played, users = plays.toarray() > 0, fold_in(plays, found[2], known, WEIGHTS)
    absent = WEIGHTS.negatives * played.sum(axis=1) / (known.sum() - played.sum(axis=1))
    mass = np.where(played, 1.0, absent[:, None]) * known
    expected = np.sqrt((mass * np.square(played - users @ found[2].items.T)).sum() / mass.sum())
    assert np.isclose(error(plays, found[2], known, WEIGHTS), expected)
    assert expected < error(plays, found[0], known, WEIGHTS) - 0.05


def test_content_prior_converges_to_zero_gradient() -> None:
    plays, known = feedback()
    confidence = plays.astype(np.float64) * 4
    content = np.random.default_rng(1).normal(size=(len(known), 3))
    ridges = {"user_ridge": 0.9, "item_ridge": 1.3, "content_ridge": 0.4}
    items, w = fit_content_prior(confidence, content, np.ones(len(known), bool), k=2, iterations=600, seed=0, **ridges)
    h = np.concatenate([content, np.ones((len(known), 1))], axis=1)
    assert np.allclose(items[~known], h[~known] @ w)

    c = confidence.toarray()
    heavy, wanted = np.where(c > 0, c, 1.0)[:, known], (c > 0)[:, known]
    own, ridge = items[known], 0.9 * np.eye(2)
    users = np.stack(
        [
            np.linalg.solve((own * m[:, None]).T @ own + ridge, own.T @ (m * t))
            for m, t in zip(heavy, wanted, strict=True)
        ]
    )

    def value(parts: np.ndarray) -> float:
        b, v = parts[: known.sum()], parts[known.sum() :]
        fit = (heavy * np.square(wanted - users @ b.T)).sum()
        return float(fit + 1.3 * np.square(b - h[known] @ v).sum() + 0.4 * np.square(v).sum())

    assert np.abs(slope(value, np.concatenate([items[known], w]))).max() < 1e-3

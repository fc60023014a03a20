"""Tests of imputing missing modalities, on data with a known distribution and against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import FactorAnalysis
from sklearn.linear_model import Ridge

from toolkit.errors import InputError
from toolkit.fusion import factor_analysis
from toolkit.fusion import moments as moments_module
from toolkit.fusion.impute import Filled, ridge_map
from toolkit.fusion.item_table import ItemTable
from toolkit.fusion.missing.em import Em
from toolkit.fusion.missing.linear import Linear
from toolkit.fusion.moments import moments
from toolkit.modality import Modality
from toolkit.recipe import Fusion

WIDTHS = (5, 7, 4)
EDGES = np.cumsum((0, *WIDTHS))
NOISE = 0.25


class Planted:
    """Three modalities for n tracks with three common factors, where about a third of the vectors are missing.

    - `whole`: complete vectors, float64 [n + 1, 16], with padding in row 0.
    - `covariance`, `mean`: parameters of the normal distribution of `whole`.
    """

    def __init__(self, n: int = 4000, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        loadings, self.mean = rng.normal(0, 1, (EDGES[-1], 3)), rng.normal(2, 1, EDGES[-1])
        self.covariance = loadings @ loadings.T + NOISE * np.eye(EDGES[-1])
        self.whole = rng.multivariate_normal(self.mean, self.covariance, n + 1)
        self.whole[0] = 0
        self.present = rng.random((3, n + 1)) < 0.65
        self.present[:, 0] = False
        self.fitted = np.arange(n + 1) % 4 > 0
        self.fitted[0] = False

    def blocks(self) -> list[np.ndarray]:
        """Return the vectors as float32, with zeros where a modality is missing."""
        parts = np.split(self.whole.astype(np.float32), EDGES[1:-1], axis=1)
        return [np.where(there[:, None], part, np.float32(0)) for part, there in zip(parts, self.present, strict=True)]

    def filled(self, kind: Any, *, rank: int = 3, fitted: np.ndarray | None = None) -> np.ndarray:
        blocks, fitted = self.blocks(), self.fitted if fitted is None else fitted
        fill = policy(kind, rank).fit(blocks, self.present, fitted)
        return np.concatenate(
            [Filled(blocks, self.present, fill, place)[0 : len(self.whole)] for place in range(3)], axis=1
        )

    def oracle(self) -> np.ndarray:
        """Return conditional expectations under the true distribution, computed row by row."""
        out = self.whole.copy()
        for row, has in enumerate(np.repeat(self.present.T, WIDTHS, axis=1)):
            if row:
                given, wanted = np.flatnonzero(has), np.flatnonzero(~has)
                gain = self.covariance[np.ix_(wanted, given)] @ np.linalg.pinv(self.covariance[np.ix_(given, given)])
                out[row, wanted] = self.mean[wanted] + gain @ (self.whole[row, given] - self.mean[given])
        return out

    def error(self, filled: np.ndarray) -> float:
        """Return the mean squared error over missing values of test tracks that have a modality."""
        asked = np.repeat(~self.present.T, WIDTHS, axis=1) & self.present.any(axis=0)[:, None] & ~self.fitted[:, None]
        asked[0] = False
        return float(np.mean((filled - self.whole)[asked] ** 2))


def policy(kind: str, rank: int) -> Em | Linear:
    return Em(rank=rank) if kind == "em" else Linear()


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


@pytest.mark.parametrize("kind", ["linear", "em"])
def test_imputed_vectors_are_close_to_the_conditional_expectation(planted: Planted, kind: str) -> None:
    by_mean = np.broadcast_to(planted.mean, planted.whole.shape)
    oracle, mean, found = (planted.error(each) for each in (planted.oracle(), by_mean, planted.filled(kind)))
    assert oracle < 0.5 * mean
    assert found < oracle * 1.03
    zero = planted.error(np.zeros_like(planted.whole))
    assert found < mean < zero


@pytest.mark.parametrize("kind", ["linear", "em"])
def test_present_rows_and_padding_are_unchanged(planted: Planted, kind: str) -> None:
    filled, given = planted.filled(kind), np.concatenate(planted.blocks(), axis=1)
    there = np.repeat(planted.present.T, WIDTHS, axis=1)
    assert np.array_equal(filled[there], given[there])
    assert filled.dtype == np.float32 and not filled[0].any()


@pytest.mark.parametrize("kind", ["linear", "em"])
def test_track_without_modalities_gets_training_means(planted: Planted, kind: str) -> None:
    nothing = np.flatnonzero(~planted.present.any(axis=0))[1:]
    rows = planted.filled(kind)[nothing]
    for place in range(3):
        columns = slice(EDGES[place], EDGES[place + 1])
        known = planted.whole[planted.present[place] & planted.fitted, columns].mean(axis=0)
        assert rows[:, columns] == pytest.approx(np.tile(known, (len(rows), 1)), abs=1e-4 if kind == "linear" else 0.15)


@pytest.mark.parametrize("kind", ["linear", "em"])
def test_imputation_is_fitted_only_on_training_tracks(planted: Planted, kind: str) -> None:
    """Change rows outside the training split, which must not change the result."""
    other = Planted()
    other.whole[~other.fitted] += 1000
    other.whole[0] = 0
    rows = planted.fitted
    assert np.array_equal(planted.filled(kind)[rows], other.filled(kind)[rows])
    assert not np.array_equal(planted.filled(kind)[rows], planted.filled(kind, fitted=np.arange(len(rows)) > 0)[rows])


def test_linear_policy_equals_scikit_learn_ridge_on_complete_tracks(planted: Planted) -> None:
    blocks = planted.blocks()
    weights, constant = ridge_map(moments(blocks, planted.present, planted.fitted), (True, False, True), 1)
    complete = planted.present.all(axis=0) & planted.fitted
    x = np.concatenate([blocks[0], blocks[2]], axis=1)[complete].astype(np.float64)
    y = blocks[1][complete]
    values = np.linalg.eigvalsh((x - x.mean(0)).T @ (x - x.mean(0)))
    candidates = [Ridge(alpha=share * values.mean()).fit(x, y) for share in np.logspace(-6, 3, 28)]
    distances = [np.abs(candidate.coef_.T - weights).max() for candidate in candidates]
    assert min(distances) < 1e-8
    best = candidates[int(np.argmin(distances))]
    assert constant == pytest.approx(best.intercept_, abs=1e-8)
    n, free = len(x), [np.sum(values / (values + candidate.alpha)) for candidate in candidates]
    scores = [
        n * np.sum((y - candidate.predict(x)) ** 2) / (n - 1 - df) ** 2
        for candidate, df in zip(candidates, free, strict=True)
    ]
    assert int(np.argmin(scores)) == int(np.argmin(distances))


def test_modalities_never_observed_together_are_imputed_by_means() -> None:
    rng = np.random.default_rng(0)
    present = np.array([[False, True, True, False, False], [False, False, False, True, True]])
    blocks = [(rng.normal(0, 1, (5, 2)) * there[:, None]).astype(np.float32) for there in present]
    filled = Filled(blocks, present, Linear().fit(blocks, present, np.arange(5) > 0), 1)
    assert filled[0:5][1:3] == pytest.approx(np.tile(blocks[1][3:].mean(axis=0), (2, 1)), abs=1e-6)


def test_em_without_missing_values_equals_scikit_learn_factor_analysis() -> None:
    planted = Planted(1500)
    planted.present[:, 1:] = True
    fitted = np.arange(1501) > 0
    found = factor_analysis.fit(moments(planted.blocks(), planted.present, fitted), 3)
    rows = planted.whole[1:]
    peer = FactorAnalysis(3, tol=1e-8, max_iter=5000, svd_method="lapack").fit(rows)
    assert found.likelihood[-1] / 1500 == pytest.approx(peer.score(rows), abs=2e-3)
    covariance = found.loadings @ found.loadings.T + np.diag(found.noise)
    assert covariance == pytest.approx(peer.get_covariance(), abs=0.05)


def test_em_likelihood_does_not_decrease_and_em_converges(planted: Planted) -> None:
    found = factor_analysis.fit(moments(planted.blocks(), planted.present, planted.fitted), 3)
    gains = np.diff(found.likelihood)
    assert (gains > -1e-6).all() and len(gains) < factor_analysis.ITERATIONS - 1
    assert found.noise == pytest.approx(np.full(16, NOISE), abs=0.06)


def test_modality_missing_for_all_tracks_stays_zero() -> None:
    present = np.array([[False, True, True, True, True], [False] * 5])
    blocks = [np.arange(10, dtype=np.float32).reshape(5, 2), np.zeros((5, 3), np.float32)]
    for kind in ("linear", "em"):
        fill = policy(kind, 2).fit(blocks, present, np.arange(5) > 0)
        assert not Filled(blocks, present, fill, 1)[0:5].any()


def test_imputed_vectors_do_not_depend_on_block_size(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.fusion import prepare

    whole = planted.filled("em")
    monkeypatch.setattr(prepare, "BLOCK", 97)
    assert planted.filled("em") == pytest.approx(whole, abs=1e-5)
    blocks = planted.blocks()
    filled = Filled(blocks, planted.present, Em(rank=3).fit(blocks, planted.present, planted.fitted), 1)
    parts = [filled[start : start + 97] for start in range(0, 4001, 97)]
    assert np.concatenate(parts) == pytest.approx(whole[:, EDGES[1] : EDGES[2]], abs=1e-5)


def test_moments_above_the_memory_limit_raise(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments_module, "LIMIT", 1000)
    with pytest.raises(InputError, match=r"moments for 16 columns and 7 combinations of modalities.*`reduce: pca:128"):
        planted.filled("em")


def table(missing: str, **fusion: Any) -> ItemTable:
    planted = Planted(400)
    modalities = {
        name: Modality(name, block, there)
        for name, block, there in zip("abc", planted.blocks(), planted.present, strict=True)
    }
    torch.manual_seed(0)
    chosen = {"type": "em", "rank": 3} if missing == "em" else missing
    settings = Fusion.model_validate({"missing": chosen, "normalise": "none", "regularise": False, **fusion})
    return ItemTable(modalities, settings, hidden_size=4, train="frozen", played=planted.fitted, dropout=0.0)


@pytest.mark.parametrize("missing", ["linear", "em"])
def test_item_table_stores_imputed_rows(missing: str) -> None:
    planted, made = Planted(400), table(missing)
    wanted = planted.filled(missing)
    assert torch.cat([made.content(name) for name in "abc"], dim=1).numpy() == pytest.approx(wanted, abs=1e-5)


def test_mask_token_learns_the_common_target_of_missing_tracks() -> None:
    """The target is 3 for tracks without modality a, and 0 for others: only the token can learn it. Rows stay."""
    made, planted = table("mask_token", modalities=["a"]), Planted(400)
    items = torch.arange(1, 401)
    absent = torch.from_numpy(~planted.present[0, 1:])
    before = made.modality("a", items).detach()
    assert not before[absent].any()
    optimizer = torch.optim.Adam([made.masks["of_a"]], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        (made.modality("a", items).sum(1) - 3.0 * absent)[absent].pow(2).mean().backward()
        optimizer.step()
    after = made.modality("a", items).detach()
    assert after[absent].sum(1).numpy() == pytest.approx(np.full(int(absent.sum()), 3.0), abs=1e-3)
    assert torch.equal(after[~absent], before[~absent])
    assert not made.modality("a", torch.zeros(1, dtype=torch.long)).any()


def test_modality_dropped_in_training_equals_a_missing_modality() -> None:
    made = table("mask_token", modality_dropout=0.5)
    with torch.no_grad():
        made.masks["of_a"].fill_(7.0)
    track = int(np.flatnonzero(Planted(400).present[0])[0])
    rows = made.modality("a", torch.full((2000,), track))
    masked = (rows == 7.0).all(dim=1)
    assert float(masked.float().mean()) == pytest.approx(0.5, abs=0.05)
    assert torch.equal(rows[~masked], made.content("a")[track].expand(int((~masked).sum()), -1))

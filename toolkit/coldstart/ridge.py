"""Ridge regression from the columns of all modalities to factors, with a penalty chosen on validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import Field

from toolkit.baselines.baseline import State
from toolkit.coldstart.cold_ranker import ColdRanker, FactorParams, concatenated_columns
from toolkit.coldstart.factorisation import Factors
from toolkit.errors import InputError
from toolkit.evaluation.choose_weight import choose_weight
from toolkit.evaluation.evaluator import evaluate
from toolkit.fusion.ridge_regression import RidgeRegression
from toolkit.ranker import TrainingData

CHOSEN_ON = 2000
"""Validation playlists by which a penalty is chosen, at most."""


class RidgeParams(FactorParams):
    """Parameters of the penalty.

    - penalties: candidate penalties as shares of the number of training tracks. The penalty with the best validation
      NDCG is used.
    - select_k: cutoff of that NDCG.
    """

    penalties: list[Annotated[float, Field(gt=0)]] = Field([1e-4, 1e-3, 1e-2, 1e-1, 1.0], min_length=1)
    select_k: int = Field(100, ge=1)


class Ridge(ColdRanker):
    """Ranks new tracks by factors that a ridge regression predicts from all modalities.

    The weights are (XᵀX + λ n I)⁻¹ XᵀY, with centred columns X (see `concatenated_columns`) and centred factors Y of
    the n tracks that have both. Without a validation split the middle penalty is used.
    """

    name = "ridge"
    Params = RidgeParams
    penalty: float = 0.0
    """The penalty of the last fit."""

    def predict(self, data: TrainingData, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        columns, present = concatenated_columns(data.modalities, factors.known)
        solve = _solver(columns, factors, present)
        penalties = sorted(self.params.penalties)
        self.penalty = penalties[len(penalties) // 2]
        if data.valid is not None and len(penalties) > 1:
            self.penalty = choose_weight(penalties, lambda penalty: self._ndcg(data, factors, solve(penalty), present))
        return solve(self.penalty), present

    def _ndcg(self, data: TrainingData, factors: Factors, vectors: np.ndarray, present: np.ndarray) -> float:
        """Return the mean NDCG on validation with these vectors."""
        assert data.valid is not None
        trial, valid = Ridge(**self.params.model_dump()), data.valid.part(0, CHOSEN_ON)
        trial._state, trial._n_items = trial.assembled(factors, vectors, present), data.n_items
        k = min(self.params.select_k, data.n_items)
        scores = evaluate(trial, valid, ks=[k], metrics=["ndcg"], train_counts=data.train.counts())
        return float(np.nanmean(scores.values["all", "ndcg", k]))

    def learn(self, data: TrainingData) -> State:
        return super().learn(data) | {"penalty": np.array([self.penalty])}


def _solver(columns: np.ndarray, factors: Factors, present: np.ndarray) -> Callable[[float], np.ndarray]:
    """Return a function from a penalty to predictions, float32 [V + 1, k]. All penalties share one decomposition."""
    trained = np.flatnonzero(factors.known & present)
    if not len(trained):
        raise InputError("ridge requires training tracks with content, but there are 0: add content of training tracks")
    x, y = columns[trained].astype(np.float64), factors.items[trained].astype(np.float64)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    x -= x_mean
    regression = RidgeRegression(x.T @ x)
    rotated = regression.rotated(x.T @ (y - y_mean))

    def solve(penalty: float) -> np.ndarray:
        weights = regression.weights(rotated, penalty * len(trained))
        return (columns @ weights.astype(np.float32) + (y_mean - x_mean @ weights).astype(np.float32)).astype(
            np.float32
        )

    return solve

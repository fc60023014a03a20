"""Hybrid rankers of content and factors: hierarchical linear models, and factors with a prior from content.

`hierarchical-linear`, `hierarchical-hybrid` and `pmf` are the three models of Wang and Wang, "Improving content-based
and hybrid music recommendation using deep learning", 2014 (see `segue_papers.rankers.hierarchical`), over any modality.
Over `spectrogram-dbn` the first is their HLDBN. `content-prior` is the model of Liang, Zhan and Ellis, "Content-aware
collaborative music recommendation using pre-trained neural networks", 2015 (see `segue_papers.rankers.content_prior`),
over `mfcc-tags` or `mfcc-words`. All users are folded in from their seeds, which for a training user equals the result
of training. Scores are estimates of 0 and 1, so RMSE can be computed. The penalties of the first three are chosen on
validation by RMSE, the metric of Wang and Wang.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from segue_papers.rankers.content_prior import fit_content_prior
from segue_papers.rankers.hierarchical import Taste, Weights, fit_taste, fold_in
from segue_papers.rankers.row_solver import solve_rows
from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.coldstart.cold_ranker import COLD_START, concatenated_columns, factor_scorer
from toolkit.coldstart.factorisation import confidence_of
from toolkit.contracts.saved_arrays import TRACKS, Layout, flags, floats, text
from toolkit.corpus.queries import Queries
from toolkit.evaluation.choose_weight import choose_weight, sample_evenly
from toolkit.evaluation.evaluator import evaluate
from toolkit.parameters import Parameters
from toolkit.ranker import Scorer, TrainingData
from toolkit.recipe import FactorSpec

CHOSEN_ON = 2000
"""Validation playlists by which penalties are chosen, at most."""


class FoldedRanker(Baseline):
    """Base class of rankers that fold users in from their seeds and score tracks by products of factors.

    State: items float32 [V + 1, k], known bool [V + 1] (tracks in training playlists), ranked bool [V + 1], and the
    arrays for folding in. For a user without a training track among the seeds no track can be ranked.
    """

    @abstractmethod
    def folded(self, plays: sp.csr_matrix) -> np.ndarray:
        """Return users float64 [B, k] from their plays [B, V + 1]."""

    def layout(self, names: Collection[str]) -> Layout:
        return {"items": floats(TRACKS, "k"), "known": flags(TRACKS), "ranked": flags(TRACKS)}

    def scorer(self, queries: Queries) -> Scorer:
        plays = queries.plays_matrix(self.n_items)
        plays.data *= self.state["known"][plays.indices]
        plays.eliminate_zeros()
        known = np.diff(plays.indptr) > 0
        return factor_scorer(self.folded(plays).astype(np.float32), known, self.state["items"], self.state["ranked"])


class LinearParams(BaselineParams):
    """Parameters of the linear model.

    - ridges: candidates for the weight of |β − μ|². The penalty with the lowest RMSE on validation is used.
    - negatives: see `segue_papers.rankers.hierarchical.Weights`.
    - iterations: steps over users and their common taste.
    """

    ridges: list[Annotated[float, Field(gt=0)]] = Field([1.0, 10.0, 100.0], min_length=1)
    negatives: float = Field(1.0, gt=0)
    iterations: int = Field(10, ge=1)


class HybridParams(LinearParams):
    """Parameters of the factors that are added to the content.

    - k: number of factors.
    - factor_ridges: candidates for the ridge of the factors, each tried with each of `ridges`.
    """

    k: int = Field(50, ge=1)
    factor_ridges: list[Annotated[float, Field(gt=0)]] = Field([1.0, 3.0, 10.0], min_length=1)


class HierarchicalLinear(FoldedRanker):
    """Ranks tracks that have content, played or not, by a hierarchical linear model of the content.

    Without a validation split the middle penalties are used. State: also prior float64 [k], weights float64 [3].
    """

    name = "hierarchical-linear"
    Params: ClassVar[type[Parameters]] = LinearParams
    capabilities = COLD_START

    @property
    def k(self) -> int:
        """Number of factors beside the content."""
        return 0

    def learn(self, data: TrainingData) -> State:
        candidates = self._candidates()
        if data.valid is None or not len(data.valid) or len(candidates) == 1:
            return self._fitted(data, candidates[len(candidates) // 2])
        states = [self._fitted(data, weights) for weights in candidates]
        return choose_weight(states, lambda state: -self._error(data, state))

    def _candidates(self) -> list[Weights]:
        """Return the penalties to choose from, in ascending order."""
        return [Weights(ridge, ridge, self.params.negatives) for ridge in sorted(self.params.ridges)]

    def _fitted(self, data: TrainingData, weights: Weights) -> State:
        known = data.train.counts() > 0
        content, present = self._content(data, known)
        k = self.k
        # without factors the model can explain only tracks with content
        trained = known if k else known & present
        taste = fit_taste(
            data.train.plays(),
            content,
            trained,
            weights,
            k=k,
            iterations=self.params.iterations,
            seed=data.seed % 2**63,
        )
        return {
            "items": taste.items.astype(np.float32),
            "prior": taste.prior,
            "known": trained,
            "ranked": present | known if k else present,
            "weights": np.array([weights.ridge, weights.factor_ridge, weights.negatives]),
        }

    def _error(self, data: TrainingData, state: State) -> float:
        """Return the mean RMSE on validation of a fitted state."""
        assert data.valid is not None
        trial, valid = type(self)(**self.params.model_dump()), sample_evenly(data.valid, CHOSEN_ON)
        trial._state, trial._n_items = state, data.n_items
        found = evaluate(trial, valid, ks=[1], metrics=["rmse"], train_counts=data.train.counts())
        return float(np.nanmean(found.values["all", "rmse", 0]))

    def _content(self, data: TrainingData, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the content of tracks.

        Returns the columns of all modalities and a constant, float64 [V + 1, d], and which tracks have content, bool [V
        + 1].
        """
        columns, present = concatenated_columns(data.modalities, known)
        return np.concatenate([columns, np.ones((len(columns), 1))], axis=1), present

    def layout(self, names: Collection[str]) -> Layout:
        return {**super().layout(names), "prior": floats("k", dtype="float64"), "weights": floats(3, dtype="float64")}

    def folded(self, plays: sp.csr_matrix) -> np.ndarray:
        state = self.state
        taste, weights = Taste(state["items"].astype(np.float64), state["prior"]), Weights(*state["weights"].tolist())
        return fold_in(plays, taste, state["known"], weights)


class HierarchicalHybrid(HierarchicalLinear):
    """Ranks tracks by a hierarchical linear model of content and factors; new tracks by their content alone."""

    name = "hierarchical-hybrid"
    Params = HybridParams

    @property
    def k(self) -> int:
        return self.params.k

    def _candidates(self) -> list[Weights]:
        ridges, factor_ridges = sorted(self.params.ridges), sorted(self.params.factor_ridges)
        return [Weights(*pair, self.params.negatives) for pair in product(ridges, factor_ridges)]


class PMF(HierarchicalHybrid):
    """Ranks played tracks by probabilistic matrix factorisation (PMF), without content.

    The model has factors and a constant.
    """

    name = "pmf"
    capabilities = replace(COLD_START, content="none", cold_tracks=False)

    def _content(self, data: TrainingData, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.ones((len(known), 1)), np.zeros(len(known), bool)


class ContentPriorParams(BaselineParams):
    """Parameters of the factorisation.

    - factors: number of factors and confidence; default: the settings of the run.
    - user_ridge: ridge of users about zero.
    - item_ridge: ridge of tracks about the prediction from content.
    - content_ridge: ridge of the weights of that prediction.
    - iterations: steps over users, tracks and weights.
    """

    factors: FactorSpec | None = None
    user_ridge: float = Field(10.0, gt=0)
    item_ridge: float = Field(10.0, gt=0)
    content_ridge: float = Field(10.0, gt=0)
    iterations: int = Field(15, ge=1)


class ContentPrior(FoldedRanker):
    """Ranks tracks by factors whose prior is predicted from content; new tracks by the prediction alone."""

    name = "content-prior"
    Params: ClassVar[type[Parameters]] = ContentPriorParams
    capabilities = COLD_START

    def learn(self, data: TrainingData) -> State:
        params, known = self.params, data.train.counts() > 0
        spec = params.factors or (data.factors.spec if data.factors is not None else FactorSpec())
        content, present = concatenated_columns(data.modalities, known)
        items, _ = fit_content_prior(
            confidence_of(data.train.plays(), spec).astype(np.float64),
            content.astype(np.float64),
            present,
            k=spec.k,
            user_ridge=params.user_ridge,
            item_ridge=params.item_ridge,
            content_ridge=params.content_ridge,
            iterations=params.iterations,
            seed=data.seed % 2**63,
        )
        settings = np.frombuffer(spec.model_dump_json().encode(), np.uint8).copy()
        return {"items": items.astype(np.float32), "known": known, "ranked": known | present, "spec": settings}

    def layout(self, names: Collection[str]) -> Layout:
        return {**super().layout(names), "spec": text("spec")}

    def restore(self, directory: Path, *, device: str) -> None:
        FactorSpec.model_validate_json(self.state["spec"].tobytes())

    def folded(self, plays: sp.csr_matrix) -> np.ndarray:
        state = self.state
        confidence = confidence_of(plays, FactorSpec.model_validate_json(state["spec"].tobytes()))
        ones = sp.csr_matrix((np.ones(confidence.nnz), confidence.indices, confidence.indptr), confidence.shape)
        return solve_rows(
            state["items"],
            ones,
            ridge=self.params.user_ridge,
            weights=confidence.data,
            rows_weight=1.0,
            columns_weight=state["known"],
        )

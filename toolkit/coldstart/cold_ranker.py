"""What cold-start rankers share: users from what they played, tracks from what they are, and products of both."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from pydantic import Field

from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.coldstart.factorisation import Factors, FactorStore, FoldIn
from toolkit.corpus.queries import Queries
from toolkit.errors import InputError
from toolkit.fusion.concatenated import concatenated_columns as concatenated_columns
from toolkit.packages import IMPLICIT, Package
from toolkit.parameters import Parameters
from toolkit.ranker import Capabilities, Scorer, TrainingData
from toolkit.recipe import FactorSpec

COLD_START = Capabilities(content="required", cold_tracks=True, kind="cold-start")
"""What most cold-start rankers declare: tracks without a training placement are ranked by their content."""


class FactorParams(BaselineParams):
    factors: FactorSpec | None = Field(None, description="of the factorisation it learns from; default: the run's")


class ColdRanker(Baseline):
    """Scores are products of a user's factors and a track's.

    A user's are the fold-in of the seeds. A track's are its own where training has placements of it, and elsewhere what the subclass
    predicts from content; a track with neither, and every track for a user without a seed that has factors, is -inf.
    State: items float32 [V + 1, k], known bool [V + 1] (placements in training), ranked bool [V + 1].
    """

    Params: ClassVar[type[Parameters]] = FactorParams
    capabilities = COLD_START
    requires: ClassVar[tuple[Package, ...]] = (IMPLICIT,)
    _fold_in: FoldIn | None = None

    @abstractmethod
    def predict(self, data: TrainingData, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        """Factors float32 [V + 1, k] of tracks by `data.modalities`, learned from tracks with `factors.known`; and bool [V + 1], who
        has any. Rows of the others mean nothing."""

    def learn(self, data: TrainingData) -> State:
        if self.capabilities.content == "required":
            check_content(self.name, data)
        self._fold_in = None
        factors = factors_of(data, self.params.factors)
        vectors, present = self.predict(data, factors)
        return self.assembled(factors, vectors, present)

    def assembled(self, factors: Factors, vectors: np.ndarray, present: np.ndarray) -> State:
        """The fitted state of predicted vectors [V + 1, k]. Raises `InputError` for another k than the factors'."""
        if vectors.shape != factors.items.shape:
            raise InputError(
                f"{self.name}: predicted vectors of {vectors.shape[1]} numbers, the factors have k={factors.k}: give both the same"
            )
        ranked = factors.known | present
        ranked[0] = False
        items = np.where(factors.known[:, None], factors.items, np.where(present[:, None], vectors, 0)).astype(
            np.float32
        )
        spec = np.frombuffer(factors.spec.model_dump_json().encode(), np.uint8).copy()
        return {"items": items, "known": factors.known, "ranked": ranked, "spec": spec}

    def users(self, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        """Factors float32 [B, k] of the queries' users, and bool [B]: who has any."""
        if self._fold_in is None:
            spec = FactorSpec.model_validate_json(self.state["spec"].tobytes())
            self._fold_in = FoldIn(self.state["items"], self.state["known"], spec)
        return self._fold_in(queries.plays_matrix(self.n_items))

    def scored(self) -> tuple[np.ndarray, np.ndarray]:
        """What users are multiplied with, float32 [V + 1, k], and bool [V + 1], who has a score."""
        return self.state["items"], self.state["ranked"]

    def scorer(self, queries: Queries) -> Scorer:
        return factor_scorer(*self.users(queries), *self.scored())


def check_content(name: str, data: TrainingData) -> None:
    """Raises `InputError` for a system by content where there is none."""
    if not data.modalities:
        raise InputError(f"{name} needs a modality and there is none: name encoders in the recipe, or leave it out")


def factors_of(data: TrainingData, spec: FactorSpec | None) -> Factors:
    """Factors of the training split under `spec`, default the run's."""
    store = data.factors or FactorStore(data.train, seed=data.seed, device=data.device)
    return store(spec)


def factor_scorer(users: np.ndarray, met: np.ndarray, items: np.ndarray, ranked: np.ndarray) -> Scorer:
    """Scores users [B, k] · items [V + 1, k]; -inf for users not `met`, bool [B], and items not `ranked`, bool [V + 1]."""

    def score(asked: np.ndarray) -> np.ndarray:
        scores = np.asarray(users @ items[asked].T, np.float32)
        scores[:, ~ranked[asked]] = -np.inf
        scores[~met] = -np.inf
        return scores

    return score

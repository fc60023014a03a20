"""Base class of cold-start rankers, with factors of users from plays and factors of tracks from content."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.baselines.sparse_products import minus_inf_outside
from toolkit.coldstart.factorisation import Factors, FactorStore, FoldIn
from toolkit.contracts.saved_arrays import TRACKS, Layout, flags, floats, text
from toolkit.corpus.queries import Queries
from toolkit.errors import InputError
from toolkit.fusion.concatenated import concatenated_columns as concatenated_columns
from toolkit.modality import Modality
from toolkit.packages import IMPLICIT, Package
from toolkit.parameters import Parameters
from toolkit.ranker import Capabilities, Scorer, TrainingData
from toolkit.recipe import FactorSpec

COLD_START = Capabilities(content="required", cold_tracks=True, kind="cold-start")
"""Capabilities of most cold-start rankers, which rank tracks without a training placement by their content."""


class FactorParams(BaselineParams):
    factors: FactorSpec | None = Field(None, description="settings of the fitted factorisation; default: the run's")


class ColdRanker(Baseline):
    """Base class of rankers that score tracks by the product of user factors and track factors.

    The factors of a user are the fold-in of the seeds. The factors of a track are fitted if the track is in a training
    playlist, and otherwise predicted from content by the subclass. A track with neither cannot be ranked (-inf). For a
    user without a seed that has factors, no track can be ranked.

    State: items float32 [V + 1, k], known bool [V + 1] (tracks in training playlists), ranked bool [V + 1], and the
    settings of the factorisation as JSON, uint8.
    """

    Params: ClassVar[type[Parameters]] = FactorParams
    capabilities = COLD_START
    requires: ClassVar[tuple[Package, ...]] = (IMPLICIT,)
    _fold_in: FoldIn | None = None

    @abstractmethod
    def predict(self, data: TrainingData, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        """Predict factors from `data.modalities`, trained on the tracks in `factors.known`.

        Returns float32 [V + 1, k], and which tracks have a prediction, bool [V + 1]. Rows of other tracks are not used.
        """

    def learn(self, data: TrainingData) -> State:
        self._fold_in = None
        factors = factors_of(data, self.params.factors)
        vectors, present = self.predict(data, factors)
        return self.assembled(factors, vectors, present)

    def assembled(self, factors: Factors, vectors: np.ndarray, present: np.ndarray) -> State:
        """Return the fitted state for predicted vectors [V + 1, k].

        Raises `InputError` unless their shape is that of the fitted factors.
        """
        if vectors.shape != factors.items.shape:
            raise InputError(
                f"{self.name}: predicted vectors have {vectors.shape[1]} dimensions and must have k={factors.k}:"
                f" set the dimension of the prediction to {factors.k}"
            )
        ranked = factors.known | present
        ranked[0] = False
        items = np.where(factors.known[:, None], factors.items, np.where(present[:, None], vectors, 0))
        spec = np.frombuffer(factors.spec.model_dump_json().encode(), np.uint8).copy()
        return {"items": items.astype(np.float32), "known": factors.known, "ranked": ranked, "spec": spec}

    def users(self, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        """Return factors float32 [B, k] of the queries' users, and which users have factors, bool [B]."""
        if self._fold_in is None:
            spec = FactorSpec.model_validate_json(self.state["spec"].tobytes())
            self._fold_in = FoldIn(self.state["items"], self.state["known"], spec)
        return self._fold_in(queries.plays_matrix(self.n_items))

    def restore(self, directory: Path, *, device: str) -> None:
        FactorSpec.model_validate_json(self.state["spec"].tobytes())

    def scored(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the factors used to score tracks, float32 [V + 1, k], and which tracks are ranked, bool [V + 1]."""
        return self.state["items"], self.state["ranked"]

    def layout(self, names: Collection[str]) -> Layout:
        return {"items": floats(TRACKS, "k"), "known": flags(TRACKS), "ranked": flags(TRACKS), "spec": text("spec")}

    def scorer(self, queries: Queries) -> Scorer:
        return factor_scorer(*self.users(queries), *self.scored())


def single_modality(modalities: dict[str, Modality]) -> Modality:
    """Return the modality of a ranker whose `capabilities` require exactly one."""
    (modality,) = modalities.values()
    return modality


def factors_of(data: TrainingData, spec: FactorSpec | None) -> Factors:
    """Return the factors of the training split with the settings `spec`; None for the settings of the run."""
    store = data.factors or FactorStore(data.train, seed=data.seed, device=data.device)
    return store(spec)


def factor_scorer(users: np.ndarray, known: np.ndarray, items: np.ndarray, ranked: np.ndarray) -> Scorer:
    """Return a scorer by users [B, k] · items [V + 1, k].

    - known: users with factors, bool [B]. For other users no track can be ranked (-inf).
    - ranked: items with factors, bool [V + 1]. Other items cannot be ranked (-inf).
    """
    return lambda ids: minus_inf_outside(np.asarray(users @ items[ids].T, np.float32), known, ranked[ids])

"""Rankers by factors that a supervised encoder predicted (`targets: {factors: k}`, `output: prediction`)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from toolkit.baselines.baseline import State
from toolkit.coldstart.cold_ranker import COLD_START, ColdRanker, single_modality
from toolkit.coldstart.factorisation import Factors
from toolkit.contracts.saved_arrays import TRACKS, Layout, flags, floats
from toolkit.errors import InputError
from toolkit.ranker import TrainingData


class PredictedFactors(ColdRanker):
    """Ranks new tracks by factors that a supervised encoder predicted.

    The ranker requires the prediction as its only modality.
    """

    name = "predicted-factors"
    capabilities = replace(COLD_START, modalities=1, predicted_factors=True)

    def predict(self, data: TrainingData, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        modality = single_modality(data.modalities)
        if modality.dim != factors.k:
            raise InputError(
                f"predicted-factors: modality {modality.name!r} has {modality.dim} dimensions and must have"
                f" k={factors.k}: set `targets: {{factors: {factors.k}}}` and `output: prediction` for the encoder"
            )
        return modality.matrix, modality.present


class PredictedForAll(PredictedFactors):
    """Ranks all tracks, including played tracks, by predicted factors.

    Source: WMF + regression in Lee et al., "Deep content-user embedding model for music recommendation", 2018, on
    played tracks. For unplayed tracks the ranking is the same as `predicted-factors`. Users are folded in by the fitted
    factors of the tracks.

    State: also predicted float32 [V + 1, k] and has_prediction bool [V + 1]. A track without a prediction is not ranked
    (-inf).
    """

    name = "predicted-for-all"

    def assembled(self, factors: Factors, vectors: np.ndarray, present: np.ndarray) -> State:
        state = super().assembled(factors, vectors, present)
        has = present.copy()
        has[0] = False
        return state | {"predicted": np.where(has[:, None], vectors, 0).astype(np.float32), "has_prediction": has}

    def layout(self, names: Collection[str]) -> Layout:
        return {**super().layout(names), "predicted": floats(TRACKS, "k"), "has_prediction": flags(TRACKS)}

    def scored(self) -> tuple[np.ndarray, np.ndarray]:
        return self.state["predicted"], self.state["has_prediction"]

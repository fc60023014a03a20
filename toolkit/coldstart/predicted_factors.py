"""A modality that is a prediction of factors already, made by a supervised encoder (`targets: {factors: k}`, `output: prediction`)."""

from __future__ import annotations

import numpy as np

from toolkit.coldstart.cold_ranker import ColdRanker
from toolkit.coldstart.factorisation import Factors
from toolkit.coldstart.single_modality import single
from toolkit.errors import InputError
from toolkit.ranker import TrainingData


class PredictedFactors(ColdRanker):
    """Ranks new tracks by factors that a supervised encoder predicted.

    The prediction is the one modality that it takes.
    """

    name = "predicted-factors"

    def predict(self, data: TrainingData, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        modality = single("predicted-factors", data.modalities)
        if modality.dim != factors.k:
            raise InputError(
                f"predicted-factors: modality {modality.name!r} has {modality.dim} numbers, the factors k={factors.k}: its encoder needs"
                f" targets: {{factors: {factors.k}}} and output: prediction"
            )
        return modality.matrix, modality.present

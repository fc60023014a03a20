"""`predicted-for-all`: predicted factors in place of all tracks' own, of those with placements too.

Source: WMF + regression of Lee et al., "Deep content-user embedding model for music recommendation", 2018, on tracks with plays; where
tracks have none it is `predicted-factors`. Users are folded in by the factors that their tracks really have.
"""

from __future__ import annotations

import numpy as np

from toolkit.baselines.baseline import State
from toolkit.coldstart.factorisation import Factors
from toolkit.coldstart.predicted_factors import PredictedFactors


class PredictedForAll(PredictedFactors):
    """Ranks all tracks, including played ones, by predicted factors.

    State: also predicted float32 [V + 1, k] and has_prediction bool [V + 1]; a track without a prediction is not ranked (-inf).
    """

    name = "predicted-for-all"

    def assembled(self, factors: Factors, vectors: np.ndarray, present: np.ndarray) -> State:
        state = super().assembled(factors, vectors, present)
        has = present.copy()
        has[0] = False
        return state | {"predicted": np.where(has[:, None], vectors, 0).astype(np.float32), "has_prediction": has}

    def scored(self) -> tuple[np.ndarray, np.ndarray]:
        return self.state["predicted"], self.state["has_prediction"]

"""iALS, implicit matrix factorisation as a ranker of played tracks.

Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets". With tuned settings it is a
strong baseline: Rendle, Krichene, Zhang and Koren 2022, "Revisiting the performance of iALS on item recommendation
benchmarks".
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from toolkit.baselines.baseline import BaselineParams, State
from toolkit.coldstart.cold_ranker import ColdRanker
from toolkit.coldstart.factorisation import Factors, FactorStore
from toolkit.ranker import Capabilities, TrainingData
from toolkit.recipe import FactorSpec


class IALSParams(BaselineParams):
    k: int = Field(128, ge=1, le=4096, description="number of factors")
    weight: float = Field(
        10.0, gt=0, description="weight of a played track's squared error, added to 1, the weight of other tracks"
    )
    regularisation: float = Field(10.0, gt=0, description="λ of the squared norms of playlists and tracks")
    iterations: int = Field(15, ge=1)


class IALS(ColdRanker):
    """Ranks tracks by implicit matrix factorisation (iALS).

    Score of a track: its factors times the factors of the seeds, which are folded in exactly. Unplayed tracks are not
    ranked.
    """

    name = "ials"
    Params = IALSParams
    capabilities = Capabilities()
    grid = {"regularisation": [1.0, 10.0, 50.0], "weight": [2.0, 10.0]}

    def learn(self, data: TrainingData) -> State:
        # confidence is 1 + α log(1 + r / ε), and every r here is 1
        spec = FactorSpec(
            k=self.params.k,
            alpha=self.params.weight / float(np.log(2)),
            epsilon=1.0,
            regularisation=self.params.regularisation,
            iterations=self.params.iterations,
        )
        factors = FactorStore(data.train, seed=data.seed, device=data.device)(spec)
        self._fold_in = None
        return self.assembled(factors, *self.predict(data, factors))

    def predict(self, data: TrainingData, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        return factors.items, np.zeros(len(factors.items), bool)

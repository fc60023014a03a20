"""Random forest regression from one modality to factors.

TEXT-RF of Oramas et al. 2017, "A deep multimodal approach for cold-start music recommendation", table of artists, which
regresses from the terms of biographies, computed by scikit-learn. The paper does not state settings. Here the forest
has 100 trees, tries a third of the columns at each split, and has at least two tracks in a leaf (scikit-learn tries all
columns by default, which takes three times as long). Only the predictions for all tracks are saved, not the forest.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import Field

from toolkit.coldstart.cold_ranker import COLD_START, ColdRanker, FactorParams, single_modality
from toolkit.coldstart.factorisation import Factors
from toolkit.errors import InputError
from toolkit.packages import FOREST_SKLEARN
from toolkit.ranker import TrainingData

BLOCK = 4096
"""Tracks that are predicted at once."""


class ForestParams(FactorParams):
    """Parameters of the forest.

    - trees: number of trees.
    - max_depth: maximum depth of a tree; None for no limit.
    - columns: share of the columns tried at each split.
    - leaf: minimum number of tracks in a leaf.
    """

    trees: int = Field(100, ge=1)
    max_depth: int | None = Field(None, ge=1)
    columns: float = Field(1 / 3, gt=0, le=1)
    leaf: int = Field(2, ge=1)


class Forest(ColdRanker):
    """Ranks new tracks by factors that a random forest predicts from one modality.

    The prediction is the mean over the trees; each tree predicts all factors.
    """

    name = "random-forest"
    Params = ForestParams
    requires = (*ColdRanker.requires, FOREST_SKLEARN)
    capabilities = replace(COLD_START, modalities=1)

    def predict(self, data: TrainingData, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        from sklearn.ensemble import RandomForestRegressor

        content = single_modality(data.modalities)
        trained = np.flatnonzero(content.present & factors.known)
        if not len(trained):
            raise InputError(
                "random-forest requires training tracks with content, but there are 0: add content of training tracks"
            )
        params = self.params
        forest = RandomForestRegressor(
            params.trees,
            max_depth=params.max_depth,
            max_features=params.columns,
            min_samples_leaf=params.leaf,
            random_state=data.seed % 2**32,
        ).fit(content.matrix[trained], factors.items[trained])
        vectors, predicted = np.zeros(factors.items.shape, np.float32), np.flatnonzero(content.present)
        for start in range(0, len(predicted), BLOCK):
            rows = predicted[start : start + BLOCK]
            vectors[rows] = forest.predict(content.matrix[rows]).reshape(len(rows), -1)
        return vectors, content.present

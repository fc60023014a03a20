"""Popularity: the tracks that most training playlists hold, whatever the seeds are."""

from __future__ import annotations

import numpy as np

from toolkit.baselines.baseline import Baseline, State
from toolkit.corpus.queries import Queries
from toolkit.ranker import Capabilities, Scorer, TrainingData


class Popularity(Baseline):
    """Ranks tracks by the number of training playlists that contain them, whatever the seeds are."""

    name = "popularity"
    capabilities = Capabilities(deterministic=True)

    def learn(self, data: TrainingData) -> State:
        playlists = np.asarray(data.train.matrix().sum(axis=0, dtype=np.float64)).ravel()
        return {"playlists": playlists.astype(np.float32)}

    def scorer(self, queries: Queries) -> Scorer:
        playlists = self.state["playlists"]
        return lambda items: np.broadcast_to(playlists[items], (len(queries), len(items)))

"""Popularity, a ranking of tracks by the number of playlists that contain them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from toolkit.baselines.baseline import Baseline, State
from toolkit.contracts.saved_arrays import TRACKS, Layout, floats
from toolkit.corpus.queries import Queries
from toolkit.ranker import Capabilities, Scorer, TrainingData


class Popularity(Baseline):
    """Ranks tracks by the number of training playlists that contain them, independently of the seeds."""

    name = "popularity"
    capabilities = Capabilities(deterministic=True)

    def learn(self, data: TrainingData) -> State:
        playlists = np.asarray(data.train.matrix().sum(axis=0, dtype=np.float64)).ravel()
        return {"playlists": playlists.astype(np.float32)}

    def layout(self, names: Collection[str]) -> Layout:
        return {"playlists": floats(TRACKS)}

    def scorer(self, queries: Queries) -> Scorer:
        playlists = self.state["playlists"]
        return lambda items: np.broadcast_to(playlists[items], (len(queries), len(items)))


class TotalPopularity(Baseline):
    """Ranks tracks by their plays in the whole corpus, including hidden plays, as an oracle.

    Source: Lee et al., "Deep content-user embedding model for music recommendation", 2018. The paper ranks tracks
    without plays in training by their plays in the test feedback, as a bound on what popularity alone can reach.

    State: plays float32 [V + 1]. A track that is in no playlist of the corpus is not ranked (-inf).
    """

    name = "total-popularity"
    capabilities = Capabilities(cold_tracks=True, oracle=True, kind="cold-start")

    def learn(self, data: TrainingData) -> State:
        corpus = data.train.corpus
        plays = np.bincount(corpus.items, weights=corpus.plays, minlength=data.n_items + 1)
        return {"plays": plays.astype(np.float32)}

    def layout(self, names: Collection[str]) -> Layout:
        return {"plays": floats(TRACKS)}

    def scorer(self, queries: Queries) -> Scorer:
        plays = np.where(self.state["plays"] > 0, self.state["plays"], np.float32(-np.inf))
        return lambda items: np.broadcast_to(plays[items], (len(queries), len(items))).astype(np.float32)

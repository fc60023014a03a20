"""Lower and upper bound for cold-start rankers, by random factors and by factors of the test feedback.

RANDOM and UPPER-BOUND of Oramas et al. 2017, "A deep multimodal approach for cold-start music recommendation", section
4, and of van den Oord et al. 2013, section 5.2.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from toolkit.baselines.baseline import State
from toolkit.coldstart.cold_ranker import COLD_START, ColdRanker
from toolkit.coldstart.factorisation import Factors, FactorStore
from toolkit.contracts.saved_arrays import Layout, floats
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import PlaylistSet
from toolkit.ranker import TrainingData


class RandomFactors(ColdRanker):
    """Ranks unplayed tracks by random factors, drawn with the random seed."""

    name = "random-factors"
    capabilities = replace(COLD_START, content="none", cold_tracks=False)

    def predict(self, data: TrainingData, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        vectors = np.random.default_rng(data.seed).standard_normal(factors.items.shape, np.float32)
        return vectors, np.ones(len(vectors), bool)


class FactorUpperBound(ColdRanker):
    """Ranks tracks by factors of the whole corpus, including hidden tracks, as an oracle.

    The ranking is that of a perfect prediction of factors.

    State: also users float32 [P, k], the factors of the corpus's playlists. Other queries are folded in.
    """

    name = "factor-upper-bound"
    capabilities = replace(COLD_START, content="none", oracle=True)

    def learn(self, data: TrainingData) -> State:
        corpus = data.train.corpus
        whole = PlaylistSet(corpus, np.arange(len(corpus)), corpus.offsets[:-1], corpus.offsets[1:])
        spec = self.params.factors or (data.factors.spec if data.factors is not None else None)
        factors = FactorStore(whole, seed=data.seed, device=data.device)(spec)
        self._fold_in = None
        return self.assembled(factors, *self.predict(data, factors)) | {"users": factors.users}

    def predict(self, data: TrainingData, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        return factors.items, factors.known

    def layout(self, names: Collection[str]) -> Layout:
        return {**super().layout(names), "users": floats("playlists", "k")}

    def users(self, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        if queries.rows is None:
            return super().users(queries)
        return self.state["users"][queries.rows], np.ones(len(queries), bool)

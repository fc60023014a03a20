"""Markov chain over successive tracks, with back-off to the frequency of tracks.

Interpolated absolute discounting: Ney, Essen and Kneser 1994, "On structuring probabilistic dependences in stochastic
language modelling"; Chen and Goodman 1999, "An empirical study of smoothing techniques for language modeling", section
2.6. Compare the chain over songs in McFee and Lanckriet 2011, "The natural language of playlists", section 3.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.baselines.sparse_products import packed, unpacked
from toolkit.contracts.saved_arrays import TRACKS, Layout, Sparse, floats
from toolkit.corpus.queries import Queries
from toolkit.ranker import Scorer, TrainingData


class MarkovParams(BaselineParams):
    discount: float = Field(0.75, gt=0, lt=1, description="discount moved from every pair count to the single tracks")


class Markov(Baseline):
    """Ranks tracks by how often they follow the last seed in training playlists.

    Score of track j: P(j | i) = max(c(i, j) - D, 0) / c(i) + D n(i) / c(i) P(j), where i is the last seed that any
    track followed in training.

    c(i, j) counts how often j comes right after i, n(i) is the number of different tracks that follow i, and P(j) is
    the share of j in all entries of training playlists. If no seed was followed by a track, the score is P(j). Unplayed
    tracks cannot be ranked (-inf).
    """

    name = "markov"
    Params = MarkovParams
    grid = {"discount": [0.1, 0.3, 0.5, 0.7, 0.9]}

    def learn(self, data: TrainingData) -> State:
        items, offsets = data.train.flat()
        inside = np.ones(len(items), bool)
        inside[offsets[1:][offsets[1:] > offsets[:-1]] - 1] = False
        first = np.flatnonzero(inside)
        size = data.n_items + 1
        counts = sp.csr_matrix((np.ones(len(first), np.float64), (items[first], items[first + 1])), (size, size))
        counts.sum_duplicates()
        followers, total = np.diff(counts.indptr), np.asarray(counts.sum(axis=1)).ravel()
        share = np.repeat(np.maximum(total, 1), followers)
        chances = sp.csr_matrix(
            ((counts.data - self.params.discount) / share, counts.indices, counts.indptr), counts.shape
        )
        single = data.train.counts() / max(1, len(items))
        left = np.where(total > 0, self.params.discount * followers / np.maximum(total, 1), 1.0)
        arrays = {"single": single.astype(np.float32), "left": left.astype(np.float32)}
        return packed(chances.astype(np.float32), "pairs") | arrays

    def layout(self, names: Collection[str]) -> Layout:
        return {"pairs": Sparse(TRACKS, TRACKS), "single": floats(TRACKS), "left": floats(TRACKS)}

    def scorer(self, queries: Queries) -> Scorer:
        pairs, single, left = unpacked(self.state, "pairs"), self.state["single"], self.state["left"]
        last = queries.last_of(np.diff(pairs.indptr) > 0)
        rows = pairs[last].tocsc()

        def score(items: np.ndarray) -> np.ndarray:
            chances = np.asarray(rows[:, items].toarray(), np.float32) + left[last][:, None] * single[items][None, :]
            chances[:, single[items] == 0] = -np.inf
            return chances

        return score

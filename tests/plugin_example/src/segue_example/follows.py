"""Ranker `follows`: what came soon after the seeds in training playlists."""

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from segue.plugin import Baseline, BaselineParams, Capabilities, Queries, Scorer, State, TrainingData, packed, unpacked


class FollowsParams(BaselineParams):
    """Parameters of the ranker `follows`."""

    reach: int = Field(3, ge=1, description="how many tracks after a seed count")
    decay: float = Field(0.5, gt=0, le=1, description="weight of each further track, relative to the one before it")


class Follows(Baseline):
    """Ranks tracks by how often and how soon they follow the seeds in training playlists."""

    name = "follows"
    Params = FollowsParams
    params: FollowsParams
    capabilities = Capabilities(deterministic=True)
    grid = {"reach": [1, 3, 10], "decay": [0.5, 0.9]}

    def learn(self, data: TrainingData) -> State:
        items, offsets = data.train.flat()
        owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        size = data.n_items + 1
        after = sp.csr_matrix((size, size), dtype=np.float32)
        for step in range(1, self.params.reach + 1):
            same = owner[:-step] == owner[step:]  # both in one playlist
            pairs = (items[:-step][same], items[step:][same])
            weight = np.full(int(same.sum()), self.params.decay ** (step - 1), np.float32)
            after += sp.csr_matrix((weight, pairs), (size, size))
        return packed(after, "after")

    def scorer(self, queries: Queries) -> Scorer:
        votes = (queries.matrix(self.n_items) @ unpacked(self.state, "after")).tocsc()  # [queries, V + 1]

        def score(items: np.ndarray) -> np.ndarray:
            scores = votes[:, items].toarray().astype(np.float32)
            scores[scores == 0] = -np.inf  # no evidence: not ranked
            return scores

        return score

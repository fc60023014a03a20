"""Session-kNN, a ranking by the training playlists most similar to the query.

Jannach and Ludewig 2017, "When recurrent neural networks meet the neighborhood for session-based recommendation",
section 3.2; cosine over sets of tracks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from toolkit.baselines.baseline import BaselineParams, State
from toolkit.baselines.sparse_products import packed, product_scorer, unpacked
from toolkit.baselines.sparse_ranker import SparseRanker, product_rows
from toolkit.contracts.saved_arrays import TRACKS, Layout, Sparse
from toolkit.corpus.item_similarity import by_item, top_per_row
from toolkit.corpus.queries import Queries
from toolkit.ranker import Capabilities, Scorer, TrainingData

BLOCK_ENTRIES = 8_000_000
"""Similarities to all training playlists that are held at once."""


class SessionKNNParams(BaselineParams):
    neighbours: int = Field(200, ge=1, description="training playlists that vote for a query")


class SessionKNN(SparseRanker):
    """Ranks the tracks of the training playlists that are most similar to the query.

    Score of track i: the sum of cosine(query, p) over the query's nearest training playlists p that contain i.

    Ties between playlists are broken by order. A track that is in no nearest playlist cannot be ranked (-inf).
    """

    name = "session-knn"
    capabilities = Capabilities(deterministic=True)
    Params = SessionKNNParams
    grid = {"neighbours": [50, 100, 200, 400, 800]}

    def learn(self, data: TrainingData) -> State:
        return packed(by_item(data.train.matrix()), "plays")

    def layout(self, names: Collection[str]) -> Layout:
        return {"plays": Sparse(TRACKS, "playlists")}

    def scorer(self, queries: Queries) -> Scorer:
        plays = unpacked(self.state, "plays")  # (V + 1, P)
        return product_scorer(self._neighbours(queries.matrix(self.n_items), plays), plays)

    def sparse_scores(self, queries: Queries, most: int) -> Iterator[sp.csr_matrix]:
        plays = unpacked(self.state, "plays")
        return product_rows(self._neighbours(queries.matrix(self.n_items), plays), by_item(plays), most)

    def _neighbours(self, shown: sp.csr_matrix, plays: sp.csr_matrix) -> sp.csr_matrix:
        """Return cosines with the nearest playlists: float64 [B, P], with at most `neighbours` stored in a row."""
        lengths = np.bincount(plays.indices, minlength=plays.shape[1])
        step = max(1, BLOCK_ENTRIES // max(1, plays.shape[1]))
        parts = [_cosines(shown[start : start + step], plays, lengths) for start in range(0, shown.shape[0], step)]
        near = [top_per_row(part, self.params.neighbours) for part in parts]
        return sp.vstack(near, format="csr") if near else sp.csr_matrix((0, plays.shape[1]), dtype=np.float64)


def _cosines(shown: sp.csr_matrix, plays: sp.csr_matrix, lengths: np.ndarray) -> sp.csr_matrix:
    """Return |q ∩ p| / sqrt(|q| |p|) for each query and each playlist that shares a track with it."""
    shared = (shown @ plays).tocsr()
    own = np.repeat(np.diff(shown.indptr), np.diff(shared.indptr))
    values = shared.data / np.sqrt(own * lengths[shared.indices].astype(np.float64))
    return sp.csr_matrix((values, shared.indices, shared.indptr), shared.shape)

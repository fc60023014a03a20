"""Item-kNN, a ranking of tracks that share playlists with the seeds.

Sarwar et al. 2001, "Item-based collaborative filtering", section 3.1.1; Deshpande and Karypis 2004, "Item-based top-N
recommendation algorithms", section 4.
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
from toolkit.corpus.item_similarity import by_item, similarities, stacked, top_per_row
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import PlaylistSet
from toolkit.errors import InputError
from toolkit.memory import free_memory
from toolkit.ranker import Capabilities, Scorer, TrainingData

ENTRY = 8
"""Bytes of a kept similarity."""


class ItemKNNParams(BaselineParams):
    neighbours: int | None = Field(
        None, ge=1, description="neighbours kept per track; default: all that share a playlist"
    )
    shrink: float = Field(0.0, ge=0, description="added to the denominator, to reduce the similarity of rare tracks")
    max_entries: int = Field(200_000_000, ge=1, description="bound on similarities kept: 8 bytes each")


class ItemKNN(SparseRanker):
    """Ranks tracks that share many training playlists with the seeds.

    Score of track i: the sum over seeds s of |P_s ∩ P_i| / (sqrt(|P_s| |P_i|) + shrink).

    P_i are the training playlists that contain i. A track that shares no playlist with a seed cannot be ranked (-inf).
    With `neighbours`, each seed contributes only to the scores of that number of tracks, its most similar ones.

    State: the similarities, with an entry for each kept pair. `fit` raises `InputError` if there are more than
    `max_entries`.
    """

    name = "item-knn"
    capabilities = Capabilities(deterministic=True)
    Params = ItemKNNParams
    grid = {"neighbours": [20, 100, None], "shrink": [0.0, 5.0]}

    def memory_problem(self, train: PlaylistSet, device: str) -> str:
        """Return a message if the similarities within the longest playlist alone are too many or too large."""
        if not len(train):
            return ""
        longest = int(train.lengths.argmax())
        tracks = len(np.unique(train.corpus.items[train.starts[longest] : train.ends[longest]]))
        least = tracks * min(tracks - 1, self.params.neighbours or tracks)
        need, free = ENTRY * least, free_memory("cpu")
        if least <= self.params.max_entries and need <= free:
            return ""
        return (
            f"a training playlist of {tracks:,} tracks alone has {least:,} similarities, {need / 1e9:,.1f} GB, above"
            f" max_entries={self.params.max_entries:,} or the {free / 1e9:,.1f} GB of free memory: set neighbours"
            " (such as 200), or split the playlist"
        )

    def learn(self, data: TrainingData) -> State:
        similar = stacked(self._similarities(data))
        # without a choice of neighbours the matrix is symmetric, and is not copied to be transposed
        return packed(similar if self.params.neighbours is None else by_item(similar), "similar")

    def _similarities(self, data: TrainingData) -> Iterator[sp.csr_matrix]:
        """Yield the kept similarities by seed. Raises `InputError` if there are too many."""
        kept, neighbours = 0, self.params.neighbours
        for part in similarities(data.train.matrix(), self.params.shrink):
            part = part if neighbours is None else top_per_row(part, neighbours)
            kept += part.nnz
            if kept > self.params.max_entries:
                raise InputError(
                    f"item-knn would keep more than max_entries={self.params.max_entries} similarities:"
                    " set neighbours (such as 200)"
                )
            yield part

    def layout(self, names: Collection[str]) -> Layout:
        return {"similar": Sparse(TRACKS, TRACKS)}

    def scorer(self, queries: Queries) -> Scorer:
        return product_scorer(queries.matrix(self.n_items), unpacked(self.state, "similar"))

    def sparse_scores(self, queries: Queries, most: int) -> Iterator[sp.csr_matrix]:
        similar = unpacked(self.state, "similar")
        by_seed = similar if self.params.neighbours is None else by_item(similar)
        return product_rows(queries.matrix(self.n_items), by_seed, most)

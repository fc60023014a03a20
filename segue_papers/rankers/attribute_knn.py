"""Item-attribute kNN, a ranking of tracks or artists by tags shared with the user's plays.

TAGS-ITEMKNN of Oramas et al. 2017, "A deep multimodal approach for cold-start music recommendation", table of artists,
which is ItemAttributeKNN of MyMediaLite (Gantner et al. 2011): cosine of sets of attributes, 80 neighbours, and each
neighbour that the user played counts one, however similar it is. Two things differ. The neighbours are training tracks
only, because other new tracks cannot be in a user's plays. A track without such a neighbour is not ranked, where the
library gives it a score of zero.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from toolkit.baselines.baseline import BaselineParams, State
from toolkit.baselines.sparse_products import packed, product_scorer, unpacked
from toolkit.baselines.sparse_ranker import SparseRanker, product_rows
from toolkit.coldstart.cold_ranker import COLD_START, single_modality
from toolkit.contracts.saved_arrays import TRACKS, Layout, Sparse
from toolkit.corpus.item_similarity import by_item, similarities, top_per_row
from toolkit.corpus.queries import Queries
from toolkit.errors import InputError
from toolkit.ranker import Scorer, TrainingData


class AttributeKNNParams(BaselineParams):
    neighbours: int = Field(80, ge=1, description="training tracks that count for a track")


class AttributeKNN(SparseRanker):
    """Ranks tracks that share attributes, such as tags, with the seeds.

    Score of track i: the number of seeds among the nearest training tracks of i, by |A_s ∩ A_i| / sqrt(|A_s| |A_i|).

    A_i are the attributes of i, the non-zero columns of its only modality. A `tfidf` of tags with `dim: 0` has one
    column per tag. A track cannot be ranked (-inf) if none of its neighbours is a seed.
    """

    name = "attribute-knn"
    Params = AttributeKNNParams
    capabilities = replace(COLD_START, modalities=1)

    def learn(self, data: TrainingData) -> State:
        content = single_modality(data.modalities)
        attributes = sp.csr_matrix(
            (content.matrix != 0) & content.present[:, None], dtype=np.float32
        ).T.tocsr()  # (d, V + 1)
        warm = sp.diags_array((data.train.counts() > 0).astype(np.float32))
        nearest = [top_per_row(_stored(part @ warm), self.params.neighbours) for part in similarities(attributes)]
        similar = sp.vstack(nearest, format="csr")
        if not similar.nnz:
            raise InputError(
                "attribute-knn requires training tracks that share attributes, but there are 0: use a modality with one"
                " column for each tag"
            )
        similar.data[:] = 1
        return packed(similar, "similar")

    def layout(self, names: Collection[str]) -> Layout:
        return {"similar": Sparse(TRACKS, TRACKS)}

    def scorer(self, queries: Queries) -> Scorer:
        return product_scorer(queries.matrix(self.n_items), unpacked(self.state, "similar"))

    def sparse_scores(self, queries: Queries, most: int) -> Iterator[sp.csr_matrix]:
        return product_rows(queries.matrix(self.n_items), by_item(unpacked(self.state, "similar")), most)


def _stored(matrix: sp.csr_matrix) -> sp.csr_matrix:
    matrix = sp.csr_matrix(matrix)
    matrix.eliminate_zeros()
    return matrix

"""Popular tracks of the labels that the seeds have: what artist-popularity and genre-popularity share.

Bonnin and Jannach 2014, "Automated generation of music playlists: Survey and
experiments", section 4.3 ("same artists - greatest hits"): tracks of the seeds' artists, the most played first.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.baselines.sparse_products import packed, unpacked
from toolkit.corpus.queries import Queries
from toolkit.errors import InputError
from toolkit.ranker import Scorer, TrainingData


class LabelPopularityParams(BaselineParams):
    power: float = Field(0.5, ge=0, le=2, description="of a track's training playlists + 1: 0 ignores popularity")
    idf: bool = Field(False, description="rare labels count for more")


class LabelPopularity(Baseline):
    """Ranks tracks that share labels with the seeds, the most played first.

    Score of a track: cosine between its labels and the seeds' summed labels, times (training playlists + 1) ** power.

    Seeds without a label say nothing. A track that shares no label with a seed cannot be
    ranked (-inf); one that was never played can.
    """

    Params = LabelPopularityParams
    label: ClassVar[str]

    def learn(self, data: TrainingData) -> State:
        plays = np.asarray(data.train.matrix().sum(axis=0, dtype=np.float64)).ravel()
        boost = (plays + 1.0) ** self.params.power
        return packed(unit_labels(data, self.label, self.name, idf=self.params.idf), "labels") | {
            "boost": boost.astype(np.float32)
        }

    def scorer(self, queries: Queries) -> Scorer:
        labels, boost = unpacked(self.state, "labels"), self.state["boost"]
        profile = label_profile(queries.matrix(self.n_items), labels)

        def score(items: np.ndarray) -> np.ndarray:
            scores = np.asarray((profile @ labels[items].T).toarray(), np.float32) * boost[items]
            scores[scores == 0] = -np.inf
            return scores

        return score


def unit_labels(data: TrainingData, label: str, asking: str, *, idf: bool = False) -> sp.csr_matrix:
    """Label rows of length one, float32 [V + 1, L]. Raises `InputError` where there are no such labels.

    idf: a label that n of N labelled tracks have is weighed by log(1 + N / n).
    """
    if label not in data.labels:
        raise InputError(
            f"{asking} needs the tracks' {label}, and the catalogue has none that may be trained on: give tracks one, or permission:"
            f" {{allowed: true, reason: …}} in the recipe's data, or leave {asking} out"
        )
    found = data.labels[label].astype(np.float64)
    if idf:
        tracks, labelled = np.bincount(found.indices, minlength=found.shape[1]), int((np.diff(found.indptr) > 0).sum())
        found = found @ sp.diags_array(np.log1p(labelled / np.maximum(tracks, 1)))
    return unit_rows(found.tocsr())


def label_profile(seeds: sp.csr_matrix, labels: sp.csr_matrix) -> sp.csr_matrix:
    """What the seeds of each query are, as unit rows over labels: [B, L]."""
    return unit_rows((seeds @ labels).tocsr())


def unit_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """The same rows at length one, float32; empty ones stay empty."""
    squares = np.asarray(matrix.multiply(matrix).sum(axis=1, dtype=np.float64)).ravel()
    lengths = np.sqrt(np.where(squares > 0, squares, 1.0))
    scaled = matrix.data / np.repeat(lengths, np.diff(matrix.indptr))
    return sp.csr_matrix((scaled.astype(np.float32), matrix.indices, matrix.indptr), matrix.shape)

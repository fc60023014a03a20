"""The neighbour head: candidates that share playlists with the tracks so far, item-kNN inside the model.

To a candidate's score is added w · Σ_s sim(s, c) / √n over the n seeds s, where sim is cosine co-occurrence cut to each
track's nearest. A transformer trained on few playlists does not recover these counts from gradient steps, and the two
err on different playlists.

The rest of the model learns without it. With it in training, the transformer learns only what co-occurrence leaves
unexplained and the sum ranks worse (Recall@50 on the validation playlists of mpd5k: .270 with similarities of other
folds in training, .292 learned apart). So w is not a training parameter; it is one of a few values, chosen by the
ranking of the validation playlists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp

from toolkit.corpus.item_similarity import similarities, top_per_row

WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True)
class Neighbours:
    """Each track's N most similar tracks, and the weight of their scores.

    - ids: int32 [V + 1, N], padded with 0.
    - similarity: float32 [V + 1, N], in units of the mean similarity of a track's nearest one: a weight means the same
      on sparse and dense corpora.
    """

    ids: np.ndarray
    similarity: np.ndarray
    weight: float = 4.0

    @classmethod
    def of(cls, plays: sp.csr_matrix, n: int) -> Self:
        """The n nearest tracks by shared playlists, the rows of `plays` (zeros and ones [p, V + 1])."""
        kept = sp.vstack([top_per_row(part, n) for part in similarities(plays)], format="csr")
        sizes = np.diff(kept.indptr)
        # no wider than any track needs: n may be more than all tracks there are
        shape = len(sizes), max(1, int(sizes.max(initial=0)))
        ids, similarity = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
        rows = np.repeat(np.arange(len(sizes)), sizes)
        columns = np.arange(kept.nnz) - kept.indptr[rows]
        ids[rows, columns], similarity[rows, columns] = kept.indices, kept.data
        best = similarity.max(axis=1, initial=0)
        return cls(ids, similarity / best[best > 0].mean(dtype=np.float64) if best.any() else similarity)

    def scores(self, seeds: np.ndarray, offsets: np.ndarray) -> sp.csc_matrix:
        """Additions to every track's score, float32 [B, V + 1].

        - seeds: [n]. offsets: [B + 1]; playlist b has the seeds offsets[b]…offsets[b + 1] − 1.

        Tracks that share no playlist with a seed, such as unplayed ones, get nothing.
        """
        counts = np.diff(offsets)
        share = np.float32(self.weight) / np.sqrt(np.maximum(counts, 1), dtype=np.float32)
        values = self.similarity[seeds] * np.repeat(share, counts)[:, None]
        bounds = np.asarray(offsets) * self.ids.shape[1]
        scores = sp.csr_matrix((values.ravel(), self.ids[seeds].ravel(), bounds), (len(counts), len(self.ids)))
        scores.sum_duplicates()
        return scores.tocsc()

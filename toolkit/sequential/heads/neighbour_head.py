"""Neighbour head, which adds item-kNN scores to the scores of a sequential model.

It adds w · Σ_s sim(s, c) / √n over the n seeds s to the score of candidate c, where sim is cosine co-occurrence, kept
for the nearest tracks of each track. A transformer trained on few playlists does not recover these counts by gradient
steps, and the errors of item-kNN and of the transformer differ between playlists.

The rest of the model is trained without the neighbours. If they are part of training, the transformer learns only what
co-occurrence does not explain, and the sum ranks worse (Recall@50 on the validation playlists of mpd5k: .270 with
similarities from other folds in training, .292 if trained apart). Therefore w is not a trainable parameter. It is
selected among a few values on the validation playlists.
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
    """The N most similar tracks of each track, with the weight of their scores.

    - ids: int32 [V + 1, N], padded with 0.
    - similarity: float32 [V + 1, N], divided by the mean similarity of a track and its nearest track, so a weight has
      the same meaning on sparse and dense corpora.
    """

    ids: np.ndarray
    similarity: np.ndarray
    weight: float = 4.0

    @classmethod
    def of(cls, plays: sp.csr_matrix, n: int) -> Self:
        """Return the n nearest tracks of each track by shared playlists.

        - plays: zeros and ones [p, V + 1], the tracks of each playlist.
        """
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
        """Return what neighbours add to the score of every track: float32 [B, V + 1].

        - seeds: [n].
        - offsets: [B + 1]. Playlist b has the seeds offsets[b]…offsets[b + 1] − 1.

        The value is 0 for tracks that share no playlist with a seed, such as unplayed tracks.
        """
        counts = np.diff(offsets)
        share = np.float32(self.weight) / np.sqrt(np.maximum(counts, 1), dtype=np.float32)
        values = self.similarity[seeds] * np.repeat(share, counts)[:, None]
        bounds = np.asarray(offsets) * self.ids.shape[1]
        scores = sp.csr_matrix((values.ravel(), self.ids[seeds].ravel(), bounds), (len(counts), len(self.ids)))
        scores.sum_duplicates()
        return scores.tocsc()

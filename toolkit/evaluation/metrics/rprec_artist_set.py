"""R-precision with artists, as the challenge's overview paper writes it."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.artist_hits import ARTIST_SHARE, artists_found
from toolkit.evaluation.metrics.hits import nan_if_none


def rprec_artist_set(block: Block, k: int = 0) -> np.ndarray:
    """As the overview paper writes it: (|S_T ∩ G_T| + 0.25 |S_A ∩ G_A|) / R over the first R, hits' artists included.

    Above 1 at best.
    """
    inside = block.first_r
    return np.asarray(
        ((block.hits & inside).sum(axis=1) + ARTIST_SHARE * artists_found(block, inside)) / nan_if_none(block.n_hidden)
    )


class RPrecisionWithArtistSet(Metric):
    """R-precision plus a quarter of a hit for each artist of a hidden track among the first R.

    Artists of hits count too.
    """

    name = "rprec_artist_set"
    label = "R-precision (artist set)"
    value_range = (0.0, 1.0 + ARTIST_SHARE)
    cutoff = "r"
    reads = "tracks"

    def values(self, block: Block, k: int) -> np.ndarray:
        return rprec_artist_set(block, k)

"""R-precision with artists, as a public code of 2022 computes it."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.artist_hits import ARTIST_SHARE, artists_found
from toolkit.evaluation.metrics.hits import nan_if_none


def rprec_artist_list(block: Block, k: int = 0) -> np.ndarray:
    """Hits among the first R, and 0.25 for each hidden artist anywhere in the ranking, over R: float64 [B]."""
    artists = artists_found(block, np.ones(block.ranked.shape, bool))
    return np.asarray(((block.hits & block.first_r).sum(axis=1) + ARTIST_SHARE * artists) / nan_if_none(block.n_hidden))


class RPrecisionWithArtistList(Metric):
    """R-precision plus a quarter of a hit for each artist of a hidden track anywhere in the ranking."""

    name = "rprec_artist_list"
    label = "R-precision (artist list)"
    value_range = (0.0, 1.0 + ARTIST_SHARE)
    cutoff = "r"
    reads = "tracks"

    def values(self, block: Block, k: int) -> np.ndarray:
        return rprec_artist_list(block, k)

"""R-precision with artists, as computed in a public implementation of 2022."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.artist_hits import ARTIST_SHARE, rprec_with_artists


class RPrecisionWithArtistList(Metric):
    """R-precision plus a quarter of a hit for each artist of a hidden track anywhere in the ranking."""

    name = "rprec_artist_list"
    label = "R-precision (artist list)"
    value_range = (0.0, 1.0 + ARTIST_SHARE)
    cutoff = "r"
    reads = "tracks"

    def values(self, block: Block, k: int) -> np.ndarray:
        return rprec_with_artists(block, np.ones(block.ranked.shape, bool))

"""R-precision with artists, as defined in the challenge's overview paper."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.artist_hits import ARTIST_SHARE, rprec_with_artists


class RPrecisionWithArtistSet(Metric):
    """R-precision plus a quarter of a hit for each artist of a hidden track among the first R.

    Artists of hits are counted as well.
    """

    name = "rprec_artist_set"
    label = "R-precision (artist set)"
    value_range = (0.0, 1.0 + ARTIST_SHARE)
    cutoff = "r"
    reads = "tracks"

    def values(self, block: Block, k: int) -> np.ndarray:
        """Return (|S_T ∩ G_T| + 0.25 |S_A ∩ G_A|) / R over the first R, float64 [B], which can exceed 1."""
        return rprec_with_artists(block, block.first_r)

"""R-precision with artists, according to the final rules of the challenge."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.artist_hits import rprec_with_artists


class RPrecisionWithArtists(Metric):
    """R-precision in which a miss by the artist of a hidden track counts as a quarter of a hit.

    Each artist is counted once.
    """

    name = "rprec_artist"
    label = "R-precision (artist)"
    value_range = (0.0, 1.0)
    cutoff = "r"
    reads = "tracks"

    def values(self, block: Block, k: int) -> np.ndarray:
        """Return R-precision plus 0.25 / R per hidden artist among the misses in the first R, float64 [B]."""
        return rprec_with_artists(block, block.first_r & ~block.hits)

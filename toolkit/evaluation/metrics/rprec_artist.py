"""R-precision with artists, by the challenge's last rules."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.artist_hits import rprec_with_artists


class RPrecisionWithArtists(Metric):
    """R-precision in which a miss by the artist of a hidden track counts as a quarter of a hit.

    Each artist counts once.
    """

    name = "rprec_artist"
    label = "R-precision (artist)"
    value_range = (0.0, 1.0)
    cutoff = "r"
    reads = "tracks"

    def values(self, block: Block, k: int) -> np.ndarray:
        """A miss among the first R whose artist has a hidden track adds 0.25 / R, once an artist: float64 [B]."""
        return rprec_with_artists(block, block.first_r & ~block.hits)

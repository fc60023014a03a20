"""R-precision with artists, by the challenge's last rules."""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.artist_hits import ARTIST_SHARE, artists_found
from toolkit.evaluation.metrics.hits import nan_if_none


def rprec_artist(block: Block, k: int = 0) -> np.ndarray:
    """R-precision by the challenge's last rules: a miss among the first R whose artist has a hidden track adds 0.25 /
    R, once an artist.
    """
    inside = block.first_r
    artists = artists_found(block, inside & ~block.hits)
    return np.asarray(((block.hits & inside).sum(axis=1) + ARTIST_SHARE * artists) / nan_if_none(block.n_hidden))


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
        return rprec_artist(block, k)

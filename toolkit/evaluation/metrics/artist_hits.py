"""Count of artists that a ranking shares with the hidden tracks, for R-precision with artists.

Source: Chen et al. 2018, "RecSys Challenge 2018: automatic music playlist continuation"; Zamani et al. 2019, "An
analysis of approaches taken in the ACM RecSys Challenge 2018", section 2.3. Public implementations count artists in
three ways, each of which is a separate metric.
"""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block
from toolkit.evaluation.metrics.hits import nan_if_none

ARTIST_SHARE = 0.25
"""Weight of a matching artist relative to a matching track."""


def rprec_with_artists(block: Block, chosen: np.ndarray) -> np.ndarray:
    """Return the hits among the first R = |I|, plus 0.25 per hidden artist at the ranks `chosen`, divided by R."""
    artists = artists_found(block, chosen)
    return np.asarray(((block.hits & block.first_r).sum(axis=1) + ARTIST_SHARE * artists) / nan_if_none(block.n_hidden))


def artists_found(block: Block, chosen: np.ndarray) -> np.ndarray:
    """Return the number of distinct artists of hidden tracks at the ranks `chosen` (bool [B, K]), int64 [B]."""
    width = int(block.artists.max(initial=0)) + 1
    ranked, owners = block.artists[block.ranked], np.arange(len(block.ranked))
    counted = chosen & (block.ranked > 0) & (ranked >= 0)
    hidden = block.artists[block.tracks]
    targets = np.repeat(owners, block.n_hidden)[hidden >= 0] * width + hidden[hidden >= 0]
    matches = np.intersect1d((owners[:, None] * width + ranked)[counted], targets)
    return np.bincount(matches // width, minlength=len(owners))

"""How many artists of hidden tracks a ranking holds, for R-precision that counts artists.

Source: Chen et al. 2018, "RecSys Challenge 2018: automatic music playlist continuation"; Zamani et al. 2019, "An analysis of
approaches taken in the ACM RecSys Challenge 2018", section 2.3. Artists count in three ways that public codes disagree on; each is
a metric of its own.
"""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block

ARTIST_SHARE = 0.25
"""What a matching artist is worth, of a matching track."""


def artists_found(block: Block, places: np.ndarray) -> np.ndarray:
    """How many artists of hidden tracks are at `places` bool [B, K] of the ranking, each counted once: int64 [B]."""
    width = int(block.artists.max(initial=0)) + 1
    ranked, owners = block.artists[block.ranked], np.arange(len(block.ranked))
    counted = places & (block.ranked > 0) & (ranked >= 0)
    hidden = block.artists[block.tracks]
    wanted = np.repeat(owners, block.n_hidden)[hidden >= 0] * width + hidden[hidden >= 0]
    found = np.intersect1d((owners[:, None] * width + ranked)[counted], wanted)
    return np.bincount(found // width, minlength=len(owners))

"""Two references for RMSE: one half for all tracks, and a fair coin for each track.

Source: the survey of Schedl, "Deep learning in music recommendation systems", 2019, beside the results of
Wang and Wang 2014: with as many tracks without plays as with plays, always 0.5 has an RMSE of 0.5, and 0 or 1 at random
an RMSE of 0.707.
"""

from __future__ import annotations

import numpy as np

from toolkit.baselines.random_order import RandomOrder
from toolkit.corpus.queries import Queries
from toolkit.ranker import Scorer


class Coin(RandomOrder):
    """Ranks tracks by 0 or 1 drawn at random, as a reference for RMSE. The order of equal tracks has no meaning.

    State: seed int64 [1].
    """

    name = "coin"

    def scorer(self, queries: Queries) -> Scorer:
        drawn = super().scorer(queries)
        return lambda items: (drawn(items) >= 0.5).astype(np.float32)


class OneHalf(RandomOrder):
    """Ranks every track with one half, as a reference for RMSE. The order of the tracks has no meaning."""

    name = "one-half"

    def scorer(self, queries: Queries) -> Scorer:
        return lambda items: np.full((len(queries), len(items)), 0.5, np.float32)

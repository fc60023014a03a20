"""NDCG as the text of the RecSys Challenge 2018 defines it.

Its ideal ranking holds no more hits than were found, and it has the first discount of Järvelin and Kekäläinen 2002,
"Cumulated gain-based evaluation of IR techniques", section 2.2, with base 2.
"""

from __future__ import annotations

import numpy as np

from toolkit.contracts.metric import Block, Metric
from toolkit.evaluation.metrics.hits import first
from toolkit.evaluation.metrics.ndcg_hits import of_hits


def ndcg_challenge(hits: np.ndarray, n_hidden: np.ndarray, k: int) -> np.ndarray:
    """DCG@k = rel_1 + Σ_{r ≥ 2} rel_r / log2(r), over that of the same hits at the top: the first two ranks count
    alike. float64 [B].

    hits: bool [B, k_max], whether the track at each rank is hidden. n_hidden: int [B], |I|.
    """
    discounts = 1.0 / np.maximum(1.0, np.log2(np.arange(1, k + 1)))
    return of_hits(first(hits, k), n_hidden, discounts)


class NDCGOfChallenge(Metric):
    """NDCG as the text of the RecSys Challenge 2018 defines it.

    It is relative to the best order of the hits that were found, and the first two ranks have the same discount.
    """

    name = "ndcg_challenge"
    label = "NDCG (challenge text)"
    value_range = (0.0, 1.0)

    def values(self, block: Block, k: int) -> np.ndarray:
        return ndcg_challenge(block.hits, block.n_hidden, k)

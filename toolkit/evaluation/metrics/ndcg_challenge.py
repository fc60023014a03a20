"""NDCG as the text of the RecSys Challenge 2018 defines it.

Its ideal ranking holds no more hits than were found, and it has the first discount of Järvelin and Kekäläinen 2002,
"Cumulated gain-based evaluation of IR techniques", section 2.2, with base 2.
"""

from __future__ import annotations

import numpy as np

from toolkit.evaluation.metrics.ndcg_hits import NDCGOfHits


class NDCGOfChallenge(NDCGOfHits):
    """NDCG as the text of the RecSys Challenge 2018 defines it.

    It is relative to the best order of the hits that were found, and the first two ranks have the same discount.
    """

    name = "ndcg_challenge"
    label = "NDCG (challenge text)"

    def discounts(self, ranks: np.ndarray) -> np.ndarray:
        """1 / log2(r), and 1 at rank 1: the first two ranks count alike."""
        return np.asarray(1.0 / np.maximum(1.0, np.log2(ranks)))

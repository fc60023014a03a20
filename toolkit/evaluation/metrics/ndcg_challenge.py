"""NDCG as defined in the text of the RecSys Challenge 2018.

The ideal ranking contains only the hits of the ranking itself. The discount is that of Järvelin and Kekäläinen 2002,
"Cumulated gain-based evaluation of IR techniques", section 2.2, with base 2.
"""

from __future__ import annotations

import numpy as np

from toolkit.evaluation.metrics.ndcg_hits import NDCGOfHits


class NDCGOfChallenge(NDCGOfHits):
    """NDCG as defined in the text of the RecSys Challenge 2018.

    The value is relative to the best order of the ranking's own hits, and the first two ranks have the same discount.
    """

    name = "ndcg_challenge"
    label = "NDCG (challenge text)"

    def discounts(self, ranks: np.ndarray) -> np.ndarray:
        """Return the discounts 1 / log2(r), and 1 at rank 1."""
        return np.asarray(1.0 / np.maximum(1.0, np.log2(ranks)))

"""Recall and NDCG as public codes have them, by name: other definitions of what `metrics` holds.

`recall_all` is RecBole's and torchmetrics' Recall. `ndcg_hits` and `ndcg_challenge` are those of codes for the RecSys
Challenge 2018, whose ideal ranking holds no more hits than were found; the second also has the first discount of Järvelin
and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques", section 2.2, with base 2, as the challenge's text has.
"""

from __future__ import annotations

import numpy as np

from toolkit.evaluation.metrics import Metric, first


def recall_all(hits: np.ndarray, n_hidden: np.ndarray, k: int) -> np.ndarray:
    """|top k ∩ I| / |I|: below 1 wherever more than k tracks are hidden. float64 [B]."""
    return np.asarray(first(hits, k).sum(axis=1) / np.where(n_hidden > 0, n_hidden, np.nan))


def ndcg_hits(hits: np.ndarray, n_hidden: np.ndarray, k: int) -> np.ndarray:
    """DCG@k over the DCG of the same hits at the top: 1 for one hit at rank 1, 0 without a hit. float64 [B]."""
    return _of_hits(first(hits, k), n_hidden, 1.0 / np.log2(np.arange(1, k + 1) + 1.0))


def ndcg_challenge(hits: np.ndarray, n_hidden: np.ndarray, k: int) -> np.ndarray:
    """DCG@k = rel_1 + Σ_{r ≥ 2} rel_r / log2(r), over that of the same hits at the top: the first two ranks count alike. float64 [B]."""
    discounts = 1.0 / np.maximum(1.0, np.log2(np.arange(1, k + 1)))
    return _of_hits(first(hits, k), n_hidden, discounts)


def _of_hits(found: np.ndarray, n_hidden: np.ndarray, discounts: np.ndarray) -> np.ndarray:
    """Discounted hits over the most that as many hits can have."""
    ideal = np.concatenate([[1.0], np.cumsum(discounts)])[found.sum(axis=1)]
    return np.where(n_hidden > 0, found @ discounts / ideal, np.nan)


VARIANTS: dict[str, Metric] = {"recall_all": recall_all, "ndcg_hits": ndcg_hits, "ndcg_challenge": ndcg_challenge}
"""By the name that recipes and tables use; of the same form as `METRICS`."""

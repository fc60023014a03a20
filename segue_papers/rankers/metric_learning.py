"""Metric learning to rank, a Mahalanobis distance under which a query's relevant rows are the nearest.

Source: McFee and Lanckriet, "Metric learning to rank", 2010, used for comparison in van den Oord et al. 2013, section
5.2. It is a structural SVM over rankings with the trace of W as its penalty, here for the ranking loss AUC. The most
violated ranking swaps each relevant row with each other row that is not farther by the margin (section 3.2.1), and is
computed by sorting. The objective is convex. The paper minimises it by cutting planes with projected subgradients
inside. Here projected subgradients of the whole objective are used, so no program has to be solved between them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

BLOCK = 256
"""Queries whose distances to all rows are computed at once."""


def learn_metric(
    rows: np.ndarray,
    relevant: sp.csr_matrix,
    *,
    c: float,
    steps: int,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Return the positive semi-definite metric W that minimises `objective`, float64 [d, d].

    - rows: float [n, d]. Each row is a query among the other rows.
    - relevant: rows that should be near each query, bool [n, n]. Queries without relevant rows are not used.
    - c: weight of the loss, added to the trace of W.
    - steps: steps of the descent. The best point is returned.
    - progress: called with the steps done and all steps.
    """
    rows = np.asarray(rows, np.float64)
    w = np.zeros((rows.shape[1], rows.shape[1]))
    best, least = w, np.inf
    scale = 0.0
    for step in range(steps):
        value, slope = objective(w, rows, relevant, c=c)
        if value < least:
            best, least = w, value
        length = np.linalg.norm(slope)
        if length < 1e-12:
            break
        # after the first step the mean squared distance is about as large as the margin
        scale = scale or 1 / max(np.square(rows - rows.mean(axis=0)).sum(axis=1).mean(), 1e-12)
        w = _projected(w - scale / np.sqrt(1 + step) * slope / length)
        if progress is not None:
            progress(step + 1, steps)
    value, _ = objective(w, rows, relevant, c=c)
    return w if value < least else best


def objective(w: np.ndarray, rows: np.ndarray, relevant: sp.csr_matrix, *, c: float) -> tuple[float, np.ndarray]:
    """Return value and a subgradient [d, d] of tr W + c · the mean loss of the most violated rankings.

    The mean is over queries. For a query q with relevant rows i and other rows j the loss is the mean over pairs of
    max(0, 1 − 2 (|q − j|² − |q − i|²)), with lengths under W.
    """
    queries = np.flatnonzero(np.diff(relevant.indptr))
    value, slope = float(np.trace(w)), np.eye(len(w))
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        loss, part = _violated(w, rows, block, relevant[block].toarray().astype(bool))
        value += c / len(queries) * loss
        slope += c / len(queries) * part
    return value, slope


def _violated(w: np.ndarray, rows: np.ndarray, queries: np.ndarray, near: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the summed losses of a block of queries, and their subgradient.

    - near: rows of `relevant`, bool [b, n].
    """
    centres = rows[queries]
    lengths = np.einsum("nd,nd->n", rows @ w, rows)
    distances = lengths[queries][:, None] + lengths[None, :] - 2 * centres @ w @ rows.T
    weights, loss = np.zeros(distances.shape), 0.0
    for b, own in enumerate(queries):
        others = ~near[b]
        others[own] = False
        part, row = _pairs(distances[b, near[b]], distances[b, others])
        loss += part
        weights[b, near[b]], weights[b, others] = row
    # sum of weight · (q − i)(q − i)ᵀ, without a row of it: the weights of a query sum to zero
    cross = centres.T @ weights @ rows
    return loss, (rows * weights.sum(axis=0)[:, None]).T @ rows - cross - cross.T


def _pairs(near: np.ndarray, far: np.ndarray) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """Return the mean loss of a query's pairs, and its derivatives by the distances of near and far rows."""
    if not len(near) or not len(far):
        return 0.0, (np.zeros(len(near)), np.zeros(len(far)))
    share = 2 / (len(near) * len(far))
    by_near, by_far = np.sort(near), np.sort(far)
    # a pair is violated where far < near + 1/2
    swapped_near = np.searchsorted(by_far, near + 0.5)
    swapped_far = len(near) - np.searchsorted(by_near, far - 0.5, side="right")
    up, down = share * swapped_near, -share * swapped_far
    return float(share / 2 * swapped_near.sum() + up @ near + down @ far), (up, down)


def _projected(w: np.ndarray) -> np.ndarray:
    """Return the nearest positive semi-definite matrix."""
    values, vectors = np.linalg.eigh((w + w.T) / 2)
    return np.asarray((vectors * values.clip(0)) @ vectors.T)

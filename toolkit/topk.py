"""Top-k ranking and target ranks, computed block by block without a B x V matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from toolkit.constants import PAD

if TYPE_CHECKING:
    from toolkit.corpus.queries import Queries

Scorer = Callable[[np.ndarray], np.ndarray]


def blocked_top_k(
    scorer: Scorer,
    queries: Queries,
    n_items: int,
    k: int,
    *,
    allow_repeats: bool = False,
    block: int = 16_384,
    candidates: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rank items 1…V or `candidates` (int, ascending) by `scorer`, with the shapes and ties of `Ranker.rank`.

    The k-th best score is carried from block to block. After the first blocks, only the few scores above this value are
    merged into the ranking.
    """
    ids = np.zeros((len(queries), k), np.int32)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    for items, part, seeds in score_blocks(scorer, queries, n_items, allow_repeats, block, candidates):
        # ids ascend, so a later score equal to the k-th one loses the tie
        better = part > scores[:, -1:]
        better[seeds] = False
        if better.any():
            if row_counts(better).max() > k:
                _cut(part, better, seeds, k)
            ids, scores = _merge(ids, scores, items, part, better, k)
    ids[np.isneginf(scores)] = PAD
    return ids, scores


def blocked_ranks(
    scorer: Scorer,
    queries: Queries,
    targets: np.ndarray,
    n_items: int,
    *,
    allow_repeats: bool = False,
    block: int = 16_384,
) -> np.ndarray:
    """Return the rank of each query's target in the ranking of `blocked_top_k`, from 1: int64 [B].

    targets: int [B], ids 1…V. A target that is a seed or has the score -inf has rank 0.
    """
    columns, column = np.unique(targets, return_inverse=True)
    scores_of_targets = (
        np.asarray(scorer(columns.astype(np.int32)), np.float32)[np.arange(len(targets)), column]
        if len(targets)
        else np.zeros(0)
    )
    ranks, own = _counted(scorer, queries, targets, scores_of_targets, n_items, allow_repeats, block)
    if not np.array_equal(own, scores_of_targets):
        # a matrix product of another shape may round differently: the target's score in its block counts
        ranks, own = _counted(scorer, queries, targets, own, n_items, allow_repeats, block)
    return np.where(np.isneginf(own), 0, ranks)


def _counted(
    scorer: Scorer,
    queries: Queries,
    targets: np.ndarray,
    bar: np.ndarray,
    n_items: int,
    allow_repeats: bool,
    block: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 + number of items before an item with score `bar` float32 [B] and id `targets`.

    Also returns the targets' scores in their blocks.
    """
    ranks, own = np.ones(len(targets), np.int64), np.full(len(targets), -np.inf, np.float32)
    at_least = np.nextafter(bar, np.float32(-np.inf))
    for items, part, seeds in score_blocks(scorer, queries, n_items, allow_repeats, block):
        # of equal scores the smaller id comes first: all items of a block before the target's, none of a block after it
        above = part > np.where(items[-1] < targets, at_least, bar)[:, None]
        inside = np.flatnonzero((targets >= items[0]) & (targets <= items[-1]))
        above[inside] |= (part[inside] == bar[inside, None]) & (items[None] < targets[inside, None])
        above[seeds] = False
        ranks += row_counts(above)
        own[inside] = part[inside, targets[inside] - items[0]]
        excluded = seeds[0][items[seeds[1]] == targets[seeds[0]]]
        own[excluded] = -np.inf
    return ranks, own


def score_blocks(
    scorer: Scorer,
    queries: Queries,
    n_items: int,
    allow_repeats: bool = False,
    block: int = 16_384,
    candidates: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]]:
    """Yield items [n], scores [B, n], and the rows and columns of seeds in the scores."""
    every = np.arange(1, n_items + 1, dtype=np.int32) if candidates is None else np.asarray(candidates, np.int32)
    seen = None if allow_repeats else queries.matrix(n_items).tocsc()[:, every]
    nowhere = np.zeros(0, np.int64)
    for start in range(0, len(every), block):
        items = every[start : start + block]
        rows, columns = nowhere, nowhere
        if seen is not None:
            low, high = seen.indptr[start], seen.indptr[start + len(items)]
            rows = seen.indices[low:high]
            columns = np.repeat(np.arange(len(items)), np.diff(seen.indptr[start : start + len(items) + 1]))
        yield items, np.asarray(scorer(items), np.float32), (rows, columns)


def _merge(
    ids: np.ndarray, scores: np.ndarray, items: np.ndarray, part: np.ndarray, better: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k best of the kept items and of `better` (bool [B, n]) in a new block with higher ids."""
    rows, columns = np.divmod(np.flatnonzero(better), len(items))
    counts = np.bincount(rows, minlength=len(part))
    touched, width = np.flatnonzero(counts), int(counts.max())
    nth = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = (np.cumsum(counts > 0) - 1)[rows]
    both = np.full((len(touched), k + width), -np.inf, np.float32)
    merged = np.zeros(both.shape, np.int32)
    both[:, :k], merged[:, :k] = scores[touched], ids[touched]
    both[place, k + nth], merged[place, k + nth] = part[rows, columns], items[columns]
    order = np.argsort(-both, axis=1, kind="stable")[:, :k]
    scores[touched], ids[touched] = np.take_along_axis(both, order, axis=1), np.take_along_axis(merged, order, axis=1)
    return ids, scores


def _cut(part: np.ndarray, better: np.ndarray, seeds: tuple[np.ndarray, np.ndarray], k: int) -> None:
    """Keep only the k best of each row in `better`: values above the k-th value, then the smallest ids with this value.

    Lower values may remain in `better`, because they sort last and a selection among many ties is ten times slower.
    """
    masked = np.fmax(part, np.float32(-np.inf))  # NaN counts as unscored
    masked[seeds] = -np.inf
    kth = np.partition(masked, masked.shape[1] - k, axis=1)[:, masked.shape[1] - k, None]
    above, level = masked > kth, masked == kth
    room = k - row_counts(above)
    better &= above | (level & (np.cumsum(level, axis=1, dtype=np.int32) <= room[:, None]))


def row_counts(mask: np.ndarray) -> np.ndarray:
    """Return the number of true values in each row, int64 [B], faster than NumPy's count along an axis."""
    return np.fromiter(map(np.count_nonzero, mask), np.int64, len(mask))


def nearest_by_cosine(vectors: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """Return the `count` nearest other rows by cosine similarity for each of `rows`, int64 [rows, count].

    The nearest row comes first, and ties are broken by the smaller index. Fewer columns are returned if there are
    fewer other rows.

    - vectors: float [n, d].
    - rows: int [rows], indices into `vectors`.
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosines = unit[rows] @ unit.T
    cosines[np.arange(len(rows)), rows] = -np.inf
    return np.argsort(-cosines, axis=1, kind="stable")[:, : min(count, len(vectors) - 1)]

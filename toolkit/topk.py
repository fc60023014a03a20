"""The k best items per query, block by block: never a B x V matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from toolkit.vocabulary import PAD

if TYPE_CHECKING:
    from toolkit.corpus.queries import Queries


def blocked_top_k(
    scorer: Callable[[np.ndarray], np.ndarray],
    queries: Queries,
    n_items: int,
    k: int,
    *,
    allow_repeats: bool = False,
    block: int = 16_384,
) -> tuple[np.ndarray, np.ndarray]:
    """Rank items 1…V by `scorer`; see `Ranker.rank` for shapes and ties."""
    ids = np.zeros((len(queries), k), np.int32)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    seen = None if allow_repeats else queries.matrix(n_items).tocsc()
    for start in range(1, n_items + 1, block):
        items = np.arange(start, min(start + block, n_items + 1), dtype=np.int32)
        part = np.array(scorer(items), dtype=np.float32, copy=True)
        if seen is not None:
            columns = seen[:, start : start + len(items)].tocoo()
            part[columns.row, columns.col] = -np.inf
        ids, scores = _merge(ids, scores, items, part, k)
    ids[np.isneginf(scores)] = PAD
    return ids, scores


def _merge(ids: np.ndarray, scores: np.ndarray, items: np.ndarray, part: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the k best of what was kept and of a new block of higher ids."""
    part_ids = np.broadcast_to(items, part.shape)
    if part.shape[1] > k:
        # a stable cut: everything above the k-th value, then the smallest ids at it
        kth = -np.partition(-part, k - 1, axis=1)[:, k - 1 : k]
        above = part > kth
        room = k - above.sum(axis=1, keepdims=True)
        level = part == kth
        keep = above | (level & (np.cumsum(level, axis=1) <= room))
        part_ids = part_ids[keep].reshape(len(part), k)
        part = part[keep].reshape(len(part), k)
    both = np.concatenate([scores, part], axis=1)
    order = np.argsort(-both, axis=1, kind="stable")[:, :k]
    merged = np.concatenate([ids, part_ids], axis=1)
    return np.take_along_axis(merged, order, axis=1), np.take_along_axis(both, order, axis=1)

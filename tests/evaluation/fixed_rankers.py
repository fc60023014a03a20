"""Rankers with obvious correct results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np

from toolkit.corpus.queries import Queries
from toolkit.ranker import Ranker, Scorer, TrainingData


class Fixed(Ranker):
    """Ranker that scores items by a function of the sum of seeds and the item, without learning."""

    name = "fixed"

    def __init__(self, n_items: int, score: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        self._n_items, self._score = n_items, score

    @property
    def n_items(self) -> int:
        return self._n_items

    def fit(self, data: TrainingData) -> Self:
        return self

    def scorer(self, queries: Queries) -> Scorer:
        sums = np.array(
            [queries.seeds[a:b].sum() for a, b in zip(queries.offsets[:-1], queries.offsets[1:], strict=True)], np.int64
        )
        return lambda items: self._score(sums[:, None], np.asarray(items)[None, :]).astype(np.float32)

    def save(self, directory: Path) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, directory: Path) -> Self:
        raise NotImplementedError


def by_id(n_items: int) -> Fixed:
    """Return a ranker that ranks 1, 2, 3, … for every query."""
    return Fixed(n_items, lambda sums, items: -items + 0 * sums)


def scattered(n_items: int) -> Fixed:
    """Return a ranker with a different arbitrary order per query, without ties below 65,537 items."""
    return Fixed(n_items, lambda sums, items: (items * (2 * sums + 7919)) % 65_537)

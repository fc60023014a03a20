"""Base class of baselines that score few tracks for a query, and rankings from their sparse scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from toolkit.baselines.baseline import Baseline
from toolkit.constants import PAD
from toolkit.corpus.block_ranges import blocks_of
from toolkit.corpus.queries import Queries
from toolkit.ranker import Ranker


class SparseRanker(Baseline):
    """Base class of baselines whose scores are sparse rows. Tracks that are not stored cannot be ranked (-inf).

    Subclasses define `sparse_scores`, with the scores of `scorer`. Time and memory of `rank` and `target_ranks` grow
    with the stored scores and not with the catalogue. A subclass that changes `scorer` alone is ranked from its dense
    scores.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "scorer" in vars(cls) and "sparse_scores" not in vars(cls):
            cls.rank, cls.target_ranks = Ranker.rank, Ranker.target_ranks  # type: ignore[method-assign]

    @abstractmethod
    def sparse_scores(self, queries: Queries, most: int) -> Iterator[sp.csr_matrix]:
        """Yield scores of consecutive queries: float32 [b, V + 1], with about `most` stored scores or one query."""

    def rank(
        self, queries: Queries, k: int, *, allow_repeats: bool = False, block: int = 16_384
    ) -> tuple[np.ndarray, np.ndarray]:
        ids = np.full((len(queries), k), PAD, np.int32)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        for row, (items, values) in enumerate(self._rankable(queries, allow_repeats, block)):
            if len(values) > k:
                best = values >= np.partition(values, len(values) - k)[len(values) - k]
                items, values = items[best], values[best]
            order = np.lexsort((items, -values))[:k]
            ids[row, : len(order)], scores[row, : len(order)] = items[order], values[order]
        return ids, scores

    def target_ranks(
        self,
        queries: Queries,
        targets: np.ndarray,
        *,
        limit: int | None = None,
        allow_repeats: bool = False,
        block: int = 16_384,
    ) -> np.ndarray:
        ranks = np.zeros(len(targets), np.int64)
        for row, (items, values) in enumerate(self._rankable(queries, allow_repeats, block)):
            for own in values[items == targets[row]]:
                earlier = (values > own) | ((values == own) & (items < targets[row]))
                ranks[row] = 1 + np.count_nonzero(earlier)
        return ranks if limit is None else np.where(ranks > limit, 0, ranks)

    def _rankable(self, queries: Queries, allow_repeats: bool, block: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield items and scores of each query, without its seeds and zeros."""
        row, hidden = 0, np.zeros(self.n_items + 1, bool)
        for scores in self.sparse_scores(queries, len(queries) * block):
            for low, high in zip(scores.indptr[:-1], scores.indptr[1:], strict=True):
                items, values = scores.indices[low:high], scores.data[low:high]
                seeds = queries.seeds[queries.offsets[row] : queries.offsets[row + 1]]
                hidden[seeds] = not allow_repeats
                kept = (values != 0) & ~hidden[items]
                hidden[seeds] = False
                yield items[kept], values[kept]
                row += 1


def product_rows(weights: sp.csr_matrix, rows: sp.csr_matrix, most: int) -> Iterator[sp.csr_matrix]:
    """Yield consecutive rows of `weights` [B, m] times `rows` [m, V + 1]: float32, with about `most` stored products.

    The terms of a sum are in the order of `product_scorer`, so both return equal scores.
    """
    sizes = np.append(np.diff(rows.indptr), 0)
    terms = np.concatenate([[0], np.cumsum(sizes[weights.indices])])[weights.indptr]
    for start, stop in blocks_of(np.minimum(np.diff(terms), rows.shape[1]), most):
        yield (weights[start:stop] @ rows).astype(np.float32, copy=False)

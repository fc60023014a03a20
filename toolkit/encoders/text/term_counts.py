"""Counts of terms in texts, and the choice of a vocabulary, in memory that does not grow with the number of texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp

BLOCK = 8192
"""Texts whose terms are in memory at once."""


@dataclass(frozen=True)
class TermCounts:
    """Counts of the terms of n texts.

    - terms: distinct terms in order of first occurrence: about 200 bytes each.
    - totals, texts: int64 [terms], occurrences, and number of texts that contain the term.
    - sample: counts of some texts, int64 [m, terms].
    """

    terms: list[str]
    totals: np.ndarray
    texts: np.ndarray
    sample: sp.csr_matrix

    def limited(self, max_features: int, min_df: int) -> tuple[list[str], np.ndarray, sp.csr_matrix]:
        """Return the vocabulary, the number of texts and the counts of the sample, by columns in alphabetical order.

        Equal to scikit-learn's `CountVectorizer`, including the choice among terms that are equally frequent and the
        order of the entries of a row, which decides the last digits of sums.
        """
        import scipy.sparse as sp

        order = np.array(sorted(range(len(self.terms)), key=self.terms.__getitem__), np.int64)
        kept = order[self.texts[order] >= min_df]
        if len(kept) > max_features:
            kept = kept[np.sort((-self.totals[kept]).argsort()[:max_features])]
        column = np.full(len(self.terms), -1, np.int64)
        column[kept] = np.arange(len(kept))
        columns = column[self.sample.indices]
        inside = columns >= 0
        bounds = np.concatenate([[0], np.cumsum(inside)])[self.sample.indptr]
        counts = sp.csr_matrix(
            (self.sample.data[inside], columns[inside], bounds), (self.sample.shape[0], len(kept)), dtype=np.int64
        )
        return [self.terms[number] for number in kept.tolist()], self.texts[kept], counts


def term_counts(texts: Sequence[str], tokens: Callable[[str], list[str]], most: int) -> TermCounts:
    """Count the terms of all texts, and keep the counts of at most `most` texts, which are evenly spaced."""
    import scipy.sparse as sp

    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    totals, containing, parts = np.zeros(0, np.int64), np.zeros(0, np.int64), []
    chosen = np.linspace(0, len(texts) - 1, min(len(texts), most)).astype(np.int64)
    for start in range(0, len(texts), BLOCK):
        codes = [[numbers[token] for token in tokens(text)] for text in texts[start : start + BLOCK]]
        bounds = np.concatenate([[0], np.cumsum([len(row) for row in codes])])
        flat = np.fromiter((code for row in codes for code in row), np.int64, bounds[-1])
        counts = sp.csr_matrix((np.ones(len(flat), np.int64), flat, bounds), (len(codes), max(1, len(numbers))))
        counts.sum_duplicates()
        totals = _added(totals, np.bincount(flat, minlength=len(numbers)))
        containing = _added(containing, np.bincount(counts.indices, minlength=len(numbers)))
        parts.append(counts[chosen[(chosen >= start) & (chosen < start + len(codes))] - start])
    for part in parts:
        part.resize(part.shape[0], len(numbers))
    return TermCounts(list(numbers), totals, containing, sp.vstack(parts, format="csr"))


def _added(sums: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Return the sum of counts, of which the later ones have further terms."""
    more[: len(sums)] += sums
    return more

"""Artists with the lowest and highest values of a factor, which show the meaning of the factor.

Source: van den Oord, Dieleman and Schrauwen, "Deep content-based music recommendation", 2013, appendix.
"""

from __future__ import annotations

import numpy as np


def factor_ends(
    vectors: np.ndarray, owners: np.ndarray, *, factors: int, count: int
) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Return the factors in which owners differ most, each with its `count` lowest and highest owners.

    - vectors: float [n, k], factors of tracks.
    - owners: int [n], the owner of each row, such as its artist, 0…A − 1. An owner has the mean of the rows.
    - factors: number of factors to return.

    The lowest and the highest owner come first.
    """
    sizes = np.bincount(owners)
    sums = np.stack([np.bincount(owners, column, minlength=len(sizes)) for column in vectors.T], axis=1)
    means, known = sums / np.maximum(sizes, 1)[:, None], np.flatnonzero(sizes)
    ends = []
    for factor in np.argsort(-means[known].std(axis=0), kind="stable")[:factors]:
        order = known[np.argsort(means[known, factor], kind="stable")]
        half = min(count, len(order) // 2)
        ends.append((int(factor), order[:half], order[::-1][:half]))
    return ends

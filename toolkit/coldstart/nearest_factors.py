"""Looking at predicted factors: a map of tracks, neighbours under true and predicted factors, and who stands at a factor's ends.

Source: van den Oord, Dieleman and Schrauwen, "Deep content-based music recommendation", 2013, section 5.5 (tables of similar songs,
t-SNE of predicted factors) and its appendix (artists at both ends of a factor); t-SNE: van der Maaten and Hinton 2008.
"""

from __future__ import annotations

import numpy as np


def nearest_to(vectors: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """Of each of `rows` the `count` nearest others by cosine, the nearest first: int64 [rows, count]; ties go to the smaller row."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    likeness = unit[rows] @ unit.T
    likeness[np.arange(len(rows)), rows] = -np.inf
    return np.argsort(-likeness, axis=1, kind="stable")[:, : min(count, len(vectors) - 1)]


def ends(
    vectors: np.ndarray, owners: np.ndarray, *, factors: int, count: int
) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """The factors along which owners differ most: each with its `count` lowest and highest owners, the outermost first.

    owners: int [n], whose each row is, 0…A − 1. An owner stands at the mean of their rows.
    """
    sizes = np.bincount(owners)
    means = (
        np.stack([np.bincount(owners, column, minlength=len(sizes)) for column in vectors.T], axis=1)
        / np.maximum(sizes, 1)[:, None]
    )
    known = np.flatnonzero(sizes)
    chosen = np.argsort(-means[known].std(axis=0), kind="stable")[:factors]
    found = []
    for factor in chosen:
        order = known[np.argsort(means[known, factor], kind="stable")]
        some = min(count, len(order) // 2)
        found.append((int(factor), order[:some], order[::-1][:some]))
    return found

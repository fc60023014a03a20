"""Projection of vectors onto a plane, for maps."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np

from toolkit.errors import MissingPackage, require
from toolkit.packages import REPORT_SKLEARN, UMAP

By = Literal["tsne", "umap"]


def check(by: By) -> None:
    """Raise `MissingPackage` if the package for the projection `by` is not installed.

    A run checks this condition before any training.
    """
    if by == "umap" and UMAP.fault:
        raise MissingPackage(f"report.map_by=umap requires umap-learn: {UMAP.install}, or set `map_by: tsne`")


def on_a_plane(vectors: np.ndarray, *, seed: int, by: By = "tsne") -> np.ndarray:
    """Return points float64 [n, 2] for vectors float [n, d] by cosine distance, with each axis in −1…1.

    The same seed gives the same points. Fewer than four rows are placed on a line.

    tsne: van der Maaten and Hinton 2008, "Visualizing data using t-SNE". umap: McInnes et al. 2018, "UMAP: uniform
    manifold approximation and projection", with its default parameters.
    """
    n = len(vectors)
    if n < 4:
        return np.stack([np.linspace(-1, 1, n) if n > 1 else np.zeros(n), np.zeros(n)], axis=1)
    points = (_umap if by == "umap" else _tsne)(np.asarray(vectors, np.float64), seed % 2**32)
    points -= (points.max(axis=0) + points.min(axis=0)) / 2
    return np.asarray(points / np.maximum(np.abs(points).max(axis=0), 1e-12))


def _tsne(vectors: np.ndarray, seed: int) -> np.ndarray:
    TSNE = require("sklearn.manifold", install=REPORT_SKLEARN.install).TSNE

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    model = TSNE(2, perplexity=perplexity, metric="cosine", init="random", random_state=seed, n_jobs=1)
    return np.asarray(model.fit_transform(vectors), np.float64)


def _umap(vectors: np.ndarray, seed: int) -> np.ndarray:
    with warnings.catch_warnings():
        # its dependencies warn, and so do graphs in parts, which a map shows as they are
        warnings.simplefilter("ignore")
        from umap import UMAP

        # rows of length one, for which Euclidean neighbours are those by cosine; zero rows have no direction
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        start = "pca" if vectors.shape[1] > 1 else "random"  # one number a track has no second axis
        model = UMAP(n_neighbors=min(15, len(vectors) - 1), init=start, random_state=seed, n_jobs=1)
        return np.asarray(model.fit_transform(unit), np.float64)

"""Cosine of usage patterns: the scores X·y that a track gets from all users."""

from __future__ import annotations

import numpy as np


def usage_vectors(items: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Return vectors float32 [n, k] whose inner products and cosines are those of the usage patterns of tracks.

    The usage pattern of a track y is X·y, with one value per user. Its inner products are y'·(X'X)·z, so that
    (X'X)^½·y replaces it, with k numbers for any number of users.

    - items: factors of tracks, true or predicted, [n, k].
    - users: factors of users X, [m, k].

    Source: van den Oord, Dieleman and Schrauwen 2013, section 5.3 (the comparison; the square root is our own).
    """
    wide = np.asarray(users, np.float64)
    values, axes = np.linalg.eigh(wide.T @ wide)
    root = (axes * np.sqrt(values.clip(0))) @ axes.T
    return np.asarray(np.asarray(items, np.float64) @ root, np.float32)

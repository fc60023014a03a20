"""Pseudo-random numbers and permutations by index, which can be computed in any order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from toolkit.seeds import derived_seed

ROUNDS = 6


def hashed(places: np.ndarray, key: int) -> np.ndarray:
    """Return uint64 hashes of integers, with a different function for each key.

    The function is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    """
    mixed = places.astype(np.uint64) + np.uint64(key & 0xFFFF_FFFF_FFFF_FFFF)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


@dataclass(frozen=True)
class Permutation:
    """Pseudo-random permutation of 0…n − 1 without a table.

    The generalised Feistel network of Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002: it
    permutes a × b ≥ n places, and is applied again to the few results outside the range.
    """

    n: int
    seed: int

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """Return the images of `places`, integers in 0…n − 1, as int64 of the same shape."""
        images = self._network(places)
        while len(out := np.flatnonzero(images >= self.n)):
            images[out] = self._network(images[out])
        return images

    def _network(self, places: np.ndarray) -> np.ndarray:
        a = math.isqrt(self.n - 1) + 1
        b = -(-self.n // a)
        left, right = np.divmod(places.astype(np.uint64), np.uint64(b))
        for turn in range(ROUNDS):
            key = derived_seed(self.seed, turn)
            # the halves differ in size: each is shifted by the other within its own range
            if turn % 2:
                right = (right + hashed(left, key) % np.uint64(b)) % np.uint64(b)
            else:
                left = (left + hashed(right, key) % np.uint64(a)) % np.uint64(a)
        return (left * np.uint64(b) + right).astype(np.int64)

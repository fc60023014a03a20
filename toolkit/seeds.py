"""Random seeds of draws, not to be confused with the seed tracks of a playlist."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

Built = TypeVar("Built")


def derived_seed(seed: int, *names: object) -> int:
    """Return a seed for a purpose, independent of the draws for all other purposes."""
    digest = hashlib.blake2b(repr((seed, *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seeded_weights(build: Callable[[], Built], seed: int) -> Built:
    """Build a module whose random weights depend only on `seed`.

    Returns the result of `build`. The global random state is unchanged.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build()
